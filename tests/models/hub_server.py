"""A hub of models on this machine, as far as downloads need one: listings, files, ranges, and faults to order."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "c" * 40


class Hub:
    """Repositories by name, each with its files; `asked` lists every request for a file with its range."""

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, bytes]] = {}
        self.gated: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.spoilt: set[str] = set()
        """Files that are sent with a byte changed."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub._get(self)

            def do_HEAD(self) -> None:
                hub._get(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Tests are quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _get(self, request: BaseHTTPRequestHandler) -> None:
        parts = [unquote(part) for part in urlsplit(request.path).path.strip("/").split("/")]
        if parts[:2] == ["api", "models"]:
            self._listing(request, "/".join(parts[2:4]))
        elif len(parts) > 4 and parts[2] == "resolve":
            self._file(request, "/".join(parts[:2]), "/".join(parts[4:]))
        else:
            _answer(request, 404, b"")

    def _listing(self, request: BaseHTTPRequestHandler, repo: str) -> None:
        if repo in self.gated:
            _answer(request, 403, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"})
        elif repo not in self.repos:
            _answer(request, 404, b"{}", {"X-Error-Code": "RepoNotFound"})
        else:
            siblings = [_sibling(name, data) for name, data in self.repos[repo].items()]
            about = {"id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings, "private": False}
            _answer(request, 200, json.dumps(about).encode(), {"Content-Type": "application/json"})

    def _file(self, request: BaseHTTPRequestHandler, repo: str, name: str) -> None:
        wanted = request.headers.get("Range", "")
        self.asked.append((name, wanted))
        data = self.repos[repo][name]
        if name in self.spoilt:
            data = data[:-1] + bytes([data[-1] ^ 1])
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        headers = {"Content-Length": str(len(data) - start), "Accept-Ranges": "bytes", "ETag": '"x"'}
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        _answer(request, 206 if wanted else 200, data[start:], headers)


def _sibling(name: str, data: bytes) -> dict[str, Any]:
    """Large files are told by SHA-256, small ones by git's hash."""
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    told: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": blob}
    if name.endswith((".gguf", ".safetensors")):
        sha = hashlib.sha256(data).hexdigest()
        told["lfs"] = {"size": len(data), "sha256": sha, "pointerSize": 130}
    return told


def _answer(
    request: BaseHTTPRequestHandler, status: int, data: bytes, headers: dict[str, str] | None = None
) -> None:
    request.send_response(status)
    for name, value in ({"Content-Length": str(len(data))} | (headers or {})).items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(data)
