const { times } = require("./times");

describe("times", () => {
  test.each([
    [1, 2, 2],
    [2, 3, 6],
  ])("%i times %i is %i", (a, b, product) => expect(times(a, b)).toBe(product));
});
