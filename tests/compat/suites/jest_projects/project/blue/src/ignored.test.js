// The project's testMatch does not name this file.
test("never runs", () => expect(1).toBe(2));
