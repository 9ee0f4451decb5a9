"""Providers on loopback for the pages' scripts that use real SDKs: OpenAI is overloaded, and Anthropic answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = "Air scatters blue light most."
USAGE = {"input_tokens": 14, "output_tokens": 9}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-6"}
MESSAGE |= {"content": [], "stop_reason": None, "stop_sequence": None, "usage": {**USAGE, "output_tokens": 1}}
EVENTS = (
    {"type": "message_start", "message": MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    *(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
        for text in (ANSWER[:12], ANSWER[12:])
    ),
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": USAGE},
    {"type": "message_stop"},
)


@contextmanager
def sdks_environment() -> Iterator[Mapping[str, str]]:
    """Give the variables that send both SDKs to servers of this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Providers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield {
            "OPENAI_API_KEY": "of-openai",
            "OPENAI_BASE_URL": f"{url}/openai",
            "ANTHROPIC_API_KEY": "of-anthropic",
            "ANTHROPIC_BASE_URL": url,
        }
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Providers(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path.startswith("/openai"):
            self._reply(503, "application/json", json.dumps({"error": {"message": "overloaded"}}))
        elif asked.get("stream"):
            events = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in EVENTS)
            self._reply(200, "text/event-stream", events)
        else:
            content = [{"type": "text", "text": ANSWER}]
            whole = MESSAGE | {"content": content, "stop_reason": "end_turn", "usage": USAGE}
            self._reply(200, "application/json", json.dumps(whole))

    def _reply(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Print nothing: the test's output is the script's."""
