const { add } = require("./add");

test("adds", () => expect(add(1, 2)).toBe(3));
test.skip("is skipped", () => {});
test("was set up", () => expect(process.env.WAS_SET_UP).toBe("yes"));
