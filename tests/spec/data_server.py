"""A small HTTP server on the loopback for the tests of downloads.

Usage: data_server.py FOLDER LOG. Prints its port, serves until its standard input ends. A path is /MODE/file:
  whole   the file; answers ranges
  plain   the file; ignores ranges
  cut     closes the connection after half of what was asked for
  wrong   the file with its last byte changed
  gone    404
Each request is written into LOG as "MODE FIRST_BYTE".
"""
import http.server
import os
import sys
import threading

folder, log = sys.argv[1], open(sys.argv[2], "a", buffering=1)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        _, mode, *rest = self.path.split("/")
        path = os.path.join(folder, os.path.basename(self.path))
        if mode == "gone" or not os.path.exists(path):
            self.send_error(404)
            return
        with open(path, "rb") as file:
            content = file.read()
        if mode == "wrong":
            content = content[:-1] + bytes([content[-1] ^ 1])
        first = 0
        asked = self.headers.get("Range")
        if asked and mode != "plain":
            first = int(asked.split("=")[1].split("-")[0])
        log.write(f"{mode} {first}\n")
        if first >= len(content) > 0:
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(content) - first))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        body = content[first:]
        self.wfile.write(body[: len(body) // 2] if mode == "cut" else body)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
