// Each project covers half of the code: only the whole run meets the threshold.
module.exports = {
  collectCoverage: true,
  collectCoverageFrom: ["red/src/*.js", "blue/src/*.js", "!**/*.test.js", "!**/*.check.js"],
  coverageThreshold: { global: { lines: 100, functions: 100 } },
  globalSetup: "./setup.js",
  projects: [
    { displayName: "red", rootDir: "red" },
    { displayName: "blue", rootDir: "blue", testMatch: ["<rootDir>/src/*.check.js"] },
  ],
};
