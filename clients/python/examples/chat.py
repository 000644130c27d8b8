"""One message of a chat. Restart the server or pull the plug meanwhile: it goes on where it was.

    PYTHONPATH=clients/python python3 clients/python/examples/chat.py [HOST [CHAT_ID]]
"""

import asyncio
import sys

from parlance_client import ChatStream, ParlanceError


async def main(host, chat_id):
    async with ChatStream(host, chat_id, secure_protocol=False, tokens=True) as chat:
        message_id = await chat.send("What is 12 * (3 + 4)?")
        async for event in chat.events():
            if event.type == "gap":
                print("The server's data are others; this is what there is:", event.history)
            elif event.message_id != message_id:
                continue  # From earlier in this chat.
            elif event.type == "agent_delta":
                print(event.delta, end="", flush=True)
            elif event.type in ("agent_snapshot", "agent_reset"):
                print("\n" + (event.text or ""), end="", flush=True)
            elif event.type == "agent_step":
                print(f"\n[{event.step_type}] {event.message}")
            elif event.terminal:
                print(event.error or event.status, "at", event.cursor)
                break


if __name__ == "__main__":
    arguments = sys.argv[1:] + ["localhost:8080", "example"][len(sys.argv) - 1:]
    try:
        asyncio.run(main(*arguments[:2]))
    except ParlanceError as error:
        sys.exit(f"chat: {error}")
