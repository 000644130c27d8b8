"""Voice for the black-box tests: recordings made by real programs, forms, and what listens."""

import contextlib
import functools
import http.client
import pathlib
import subprocess
import tempfile
import threading
import uuid
import zipfile

from harness import PATIENCE, fetch, wait_until
from platform_api import Api, named

# Faults of the upstream are told at once and never hide each other.
ONCE = {"tries_max": 1, "breaker_failures": 1_000_000}

NOISE = ("-f", "lavfi", "-i", "anoisesrc=a=0.1:r=16000:d=3")
SILENCE = ("-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono")

# Name of the file, what ffmpeg codes it with, the type that its bytes are found to be.
KINDS = {
    "wav": ("voice.wav", ["-c:a", "pcm_s16le"], "audio/wav"),
    "ogg": ("voice.ogg", ["-c:a", "libopus"], "audio/ogg"),
    "mp3": ("voice.mp3", ["-c:a", "libmp3lame"], "audio/mpeg"),
    "m4a": ("voice.m4a", ["-c:a", "aac"], "audio/mp4"),
    "webm": ("voice.webm", ["-c:a", "libopus"], "audio/webm"),
    "flac": ("voice.flac", ["-c:a", "flac"], "audio/flac"),
}


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=PATIENCE * 3, **options)
    assert done.returncode == 0, (command, done.stderr[-2000:])
    return done


# ---- Recordings ----


KEPT = tempfile.TemporaryDirectory(prefix="parlance-voice-")  # Goes with this process.


def new_path(suffix):
    return pathlib.Path(KEPT.name) / (uuid.uuid4().hex + suffix)


@functools.cache
def coded(name, source, coding):
    """What ffmpeg makes of `source`, as bytes; both in its own words."""
    path = new_path(name)
    run("ffmpeg", "-nostdin", "-v", "error", *source, *coding, path)
    return path.read_bytes()


def recording(kind="wav"):
    """Three seconds of noise."""
    name, coding, _ = KINDS[kind]
    return coded(name, NOISE, tuple(coding))


@functools.cache
def spoken(text, voice="en", speed=110):
    """A WAV in which espeak-ng says `text`."""
    path = new_path(".wav")
    run("espeak-ng", "-v", voice, "-s", speed, "-w", path, text)
    return path.read_bytes()


def made_by(program, wav, *arguments):
    """What a coder other than ffmpeg makes of a WAV."""
    source = new_path(".wav")
    source.write_bytes(wav)
    out = source.with_suffix(".coded")
    run(program, *arguments, source, *(("-o",) if program == "flac" else ()), out)
    return out.read_bytes()


def zip_of(name, content):
    path = new_path(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)
    return path.read_bytes()


# ---- Listening ----


class Sound:
    def __init__(self, samples):
        self.seconds = len(samples) / 2 / 16_000
        self.loudest = max(map(abs, memoryview(samples).cast("h")), default=0)


def listen(mp3):
    """Decodes MP3 by two programs, neither of which may find anything wrong with it."""
    path = new_path(".mp3")
    path.write_bytes(mp3)
    checked = run("mpg123", "-q", "-t", path)
    assert checked.stderr == b"", checked.stderr
    done = run("ffmpeg", "-nostdin", "-v", "error", "-xerror", "-f", "mp3", "-i", path, "-f",
               "s16le", "-ac", "1", "-ar", "16000", "-")
    assert done.stderr == b"", done.stderr
    return Sound(done.stdout)


# ---- Sending ----


def form(parts, boundary=None):
    """A multipart/form-data body of (name, file name or None, type or None, bytes); and its type."""
    boundary = boundary or uuid.uuid4().hex
    body = b""
    for name, file, kind, content in parts:
        head = f'Content-Disposition: form-data; name="{name}"'
        head += f'; filename="{file}"' if file is not None else ""
        head += f"\r\nContent-Type: {kind}" if kind is not None else ""
        content = content.encode() if isinstance(content, str) else content
        body += f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def voice_form(session, content, name="voice.wav", kind="audio/wav", language=None):
    parts = [("session_id", None, None, session["id"])]
    parts += [("language", None, None, language)] if language is not None else []
    return form(parts + [("file", name, kind, content)])


class VoiceApi(Api):
    def speak(self, session, content=None, *, name="voice.wav", kind="audio/wav", language=None,
              **headers):
        body, form_type = voice_form(session, recording() if content is None else content, name,
                                     kind, language)
        return fetch(self.server.port, "POST", "/api/v1/message/voice", body,
                     {"Content-Type": form_type, **named(headers)}, timeout=PATIENCE * 3)

    def exchange(self, session, content=None, **options):
        """Sends a recording; both messages of the answer."""
        answer = self.speak(session, content, Accept="application/json", **options)
        assert answer.status == 201, answer
        return answer.json["message"], answer.json["answer"]

    def fetch(self, href, method="GET", **headers):
        return fetch(self.server.port, method, href, headers=named(headers))

    def heard(self, message):
        """The whole recording of a message."""
        answer = self.fetch(message["audio"]["href"])
        assert answer.status == 200, answer
        return answer.body

    def ended(self, session, count=2):
        """The messages, once there are so many and none is under way."""
        def all_ended():
            messages = self.messages(session)
            return (len(messages) >= count
                    and all(m["status"] != "pending" for m in messages) and messages)
        return wait_until(all_ended, f"the end of {count} messages", PATIENCE * 2)

    def begin(self, session, content=None, **options):
        """Sends a recording as one who is gone before the answer: on a thread that minds nothing."""
        def send():
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.speak(session, content, **options)
        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        return thread


def audio_files(server):
    """The recordings that the server keeps on its disk."""
    return [path for path in (server.data / "audio").rglob("*") if path.is_file()]


def calls(upstream):
    """How many calls of each kind have come: (heard, asked, spoken)."""
    return tuple(len(upstream.requests(route=route))
                 for route in ("transcriptions", "chat", "speech"))


def speaking(world, script=None, *arguments, config=None, speech=None, provider=None, **options):
    """An upstream that hears, answers and speaks, and a server that uses it."""
    upstream = world.upstream(*arguments, script=script)
    config = {**(config or {}), "speech": upstream.speech(**{**ONCE, **(speech or {})})}
    server = world.server(config, upstream, provider={**ONCE, **(provider or {})}, **options)
    return upstream, VoiceApi(server)
