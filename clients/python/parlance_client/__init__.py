"""Asyncio client of the Parlance chat server.

`RestEvent` and `WebSocketEvent` have the calls of the KISS AI Stack's client; `ChatStream` is one
chat of the step stream, which goes on by itself after the connection was lost.
"""

from .answers import Answer, Event, Session
from .chat import FROM_START, ChatStream
from .errors import ParlanceError
from .rest import RestEvent
from .socket import AnswerStream, WebSocketEvent

__all__ = ["FROM_START", "Answer", "AnswerStream", "ChatStream", "Event", "ParlanceError",
           "RestEvent", "Session", "WebSocketEvent"]
