#!/usr/bin/env python3
"""Asks a language server what an editor would ask, and prints the answer as JSON.

    lsp.py completion FILE LINE COLUMN -- SERVER [ARGUMENT...]    the labels, in the order an editor shows them
    lsp.py hover      FILE LINE COLUMN -- SERVER [ARGUMENT...]    the text
    lsp.py diagnose   FILE             -- SERVER [ARGUMENT...]    the messages

Lines and columns count from 0, as in the protocol. Only the standard library: this must run wherever python3 does.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import threading

# A server that says nothing for so long hangs; both servers answer within a second or two where the machine is not busy.
PATIENCE_SECONDS = 120


class Server:
    """A language server on stdin and stdout: JSON-RPC, each message behind a `Content-Length` header."""

    def __init__(self, command, folder):
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        # A read can't time out by itself, but it ends when the server does.
        self.watchdog = threading.Timer(PATIENCE_SECONDS, self.process.kill)
        self.watchdog.start()
        self.last_id = 0
        self.notifications = []

    def send(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def receive(self):
        length = None
        while (line := self.process.stdout.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if length is None:
            sys.exit(f"the server ended, or gave no answer for {PATIENCE_SECONDS} s")
        return json.loads(self.process.stdout.read(length))

    def next_message(self):
        """The next answer or notification. What the server asks us is answered at once, or it would wait for us."""
        while True:
            message = self.receive()
            if "method" in message and "id" in message:
                # No settings and no folders of ours: `null` for each item asked for.
                items = (message.get("params") or {}).get("items")
                self.send({"id": message["id"], "result": [None] * len(items) if items else None})
            else:
                return message

    def notify(self, method, params):
        self.send({"method": method, "params": params})

    def request(self, method, params):
        self.last_id += 1
        self.send({"id": self.last_id, "method": method, "params": params})
        while True:
            message = self.next_message()
            if message.get("id") == self.last_id:
                if "error" in message:
                    sys.exit(f"{method}: {message['error']}")
                return message["result"]
            self.notifications.append(message)

    def notified(self, method):
        """The parameters of the first notification of this kind."""
        while True:
            for message in self.notifications:
                if message.get("method") == method:
                    return message["params"]
            self.notifications.append(self.next_message())

    def stop(self):
        self.watchdog.cancel()
        self.process.kill()
        self.process.wait()


def labels(result):
    """The labels of a completion, which is a list or an object that holds one, sorted as an editor does."""
    items = result["items"] if isinstance(result, dict) else result or []
    return [item["label"] for item in sorted(items, key=lambda item: item.get("sortText") or item["label"])]


def text(result):
    contents = (result or {}).get("contents") or ""
    return contents["value"] if isinstance(contents, dict) else contents


def ask(question, file, position, command):
    server = Server(command, file.parent)
    document = {"uri": file.as_uri()}
    try:
        folder = file.parent.as_uri()
        markdown = ["markdown", "plaintext"]
        server.request("initialize", {
            "processId": None,
            "rootUri": folder,
            "workspaceFolders": [{"uri": folder, "name": "root"}],
            "capabilities": {
                "textDocument": {
                    "completion": {"completionItem": {"snippetSupport": True, "documentationFormat": markdown}},
                    "hover": {"contentFormat": markdown},
                    "publishDiagnostics": {},
                },
                "workspace": {"configuration": True, "workspaceFolders": True},
            },
        })
        server.notify("initialized", {})
        server.notify("textDocument/didOpen", {
            "textDocument": {**document, "languageId": "toml", "version": 1, "text": file.read_text()},
        })
        # The server has read the document, and the schema that it names, when it publishes what is wrong with it.
        diagnostics = server.notified("textDocument/publishDiagnostics")["diagnostics"]
        if question == "diagnose":
            return [diagnostic["message"] for diagnostic in diagnostics]
        line, column = position
        answer = server.request(f"textDocument/{question}", {
            "textDocument": document,
            "position": {"line": line, "character": column},
        })
        return labels(answer) if question == "completion" else text(answer)
    finally:
        server.stop()


def main():
    if "--" not in sys.argv:
        sys.exit(__doc__)
    cut = sys.argv.index("--")
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("question", choices=["completion", "hover", "diagnose"])
    parser.add_argument("file", type=lambda name: pathlib.Path(name).resolve(strict=True))
    parser.add_argument("position", type=int, nargs="*")
    options = parser.parse_args(sys.argv[1:cut])
    if len(options.position) != (0 if options.question == "diagnose" else 2):
        parser.error(f"{options.question}: wrong number of positions")
    print(json.dumps(ask(options.question, options.file, options.position, sys.argv[cut + 1 :]), ensure_ascii=False))


if __name__ == "__main__":
    main()
