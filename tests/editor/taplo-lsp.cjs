// Serves @taplo/lsp, the language server of Even Better TOML, on stdin and stdout: `node taplo-lsp.cjs FOLDER`, where FOLDER
// is where the package is. It is a library for an editor's own process, and the `taplo` that pip installs is built without
// a server.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { fileURLToPath } = require("node:url");
const { TaploLsp } = require(path.resolve(process.argv[2]));

const unused = name => () => { throw new Error(`the server asked for ${name}`); };

// What an editor lends to the server. It reads files; settings it must do without.
const environment = {
    now: () => new Date(),
    envVar: () => undefined,
    envVars: () => [],
    stdErrAtty: () => false,
    stdin: async () => new Uint8Array(),
    stdout: async bytes => bytes.length,
    stderr: async bytes => (process.stderr.write(bytes), bytes.length),
    glob: () => [],
    readFile: file => fs.promises.readFile(file),
    writeFile: unused("writeFile"),
    urlToFilePath: fileURLToPath,
    isAbsolute: path.isAbsolute,
    cwd: () => process.cwd(),
    findConfigFile: () => undefined,
};

// At its start the server fetches a catalogue of schemas. Ours must be found by the file's own line, without a network.
globalThis.fetch = async () => { throw new Error("offline"); };

function write(message) {
    const body = Buffer.from(JSON.stringify(message));
    process.stdout.write(Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`), body]));
}

async function main() {
    const server = await TaploLsp.initialize(environment, { onMessage: write });
    let buffer = Buffer.alloc(0);
    for await (const chunk of process.stdin) {
        buffer = Buffer.concat([buffer, chunk]);
        for (;;) {
            const head = buffer.indexOf("\r\n\r\n");
            if (head < 0) break;
            const length = Number(/content-length: *(\d+)/i.exec(buffer.subarray(0, head))[1]);
            const end = head + 4 + length;
            if (buffer.length < end) break;
            const message = JSON.parse(buffer.subarray(head + 4, end));
            buffer = buffer.subarray(end);
            server.send(message);
        }
    }
    process.exit(0);
}

main();
