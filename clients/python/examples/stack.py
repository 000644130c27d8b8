"""A session of the stack: store a document, ask about it, see the answer come.

    PYTHONPATH=clients/python python3 clients/python/examples/stack.py [HOST]
"""

import asyncio
import pathlib
import sys
import tempfile

from parlance_client import ParlanceError, RestEvent, WebSocketEvent


async def main(host):
    # Over REST; WebSocketEvent has the same calls.
    async with RestEvent(hostname=host, secure_protocol=False) as client:
        session = await client.authorize_stack(scope="persistent")
        print((await client.bootstrap_stack(data="Hello, Stack!")).result)

        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "moon.txt"
            file.write_text("The moon is about 384400 kilometres away from the earth.")
            stored = await client.store_data(files=[file], metadata={"category": "example"})
        print(stored.result, stored.extras)

        answer = await client.generate_answer(data="How far away is the moon?")
        print(answer.result)
        for passage in answer.extras["supporting_documents"]:
            print("  from", passage["name"], "at distance", passage["distance"])

    # The same session from another connection: a persistent one is kept by its id and secret.
    async with WebSocketEvent(hostname=host, secure_protocol=False) as client:
        await client.authorize_stack(client_id=session.client_id,
                                     client_secret=session.client_secret)
        stream = client.generate_answer(data="And in miles?", stream=True)
        async for event in stream:
            print(event.delta or "", end="")
        print()
        print((await client.destroy_stack(data="Goodbye!")).result)


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "localhost:8080"))
    except ParlanceError as error:
        sys.exit(f"stack: {error}")
