const test = require("node:test");
const assert = require("node:assert");
const fs = require("node:fs");

test("runs in its own folder", () => assert.ok(fs.existsSync("package.json")));
test("is skipped", { skip: true }, () => {});
