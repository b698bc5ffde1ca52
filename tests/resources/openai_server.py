"""A server that speaks OpenAI's chat completions: ``openai_server.py LOG`` prints its port.

What it answers goes by the model's name: `mends` and `wrong` propose an edit, `garbage` is
no JSON, `broken` fails, `limited` has no quota left, `slow` takes its time. Requests are
written to LOG, one JSON object a line.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PROPOSALS = {
    "mends": [
        {"file": "app.py", "old": "xs[len(xs)]", "new": "xs[-1]", "explanation": "the last one"},
        {"file": "tests/test_app.py", "old": "assert", "new": "assert not", "explanation": "no"},
        {"file": "../../etc/passwd", "old": "root", "new": "toor", "explanation": "escape"},
        {"file": "app.py", "old": "nowhere", "new": "x", "explanation": "made up"},
        {"file": "app.py", "old": "return", "new": "return (", "explanation": "does not parse"},
    ],
    "wrong": [{"file": "app.py", "old": "len(xs)", "new": "len(xs) - 2", "explanation": "hm"}],
}


class Chat(BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with Path(sys.argv[1]).open("a") as log:
            told = {"path": self.path, "key": self.headers["Authorization"], **request}
            log.write(json.dumps(told) + "\n")
        model = request["model"]
        if model == "broken":
            self.answer(500, {"error": {"message": "out of order", "type": "server"}})
            return
        if model == "limited":
            self.answer(429, {"error": {"message": "no quota left", "type": "quota"}})
            return
        if model == "slow":
            time.sleep(20)
        text = "I cannot help." if model == "garbage" else json.dumps({"edits": PROPOSALS[model]})
        message = {"role": "assistant", "content": text}
        self.answer(
            200,
            {
                "id": "chat-1",
                "object": "chat.completion",
                "created": 1,
                "model": model,
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 300, "completion_tokens": 100, "total_tokens": 400},
            },
        )

    def answer(self, status, value):
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Chat)
print(server.server_address[1], flush=True)
server.serve_forever()
