// A session of the stack: store a document, ask about it, see the answer come.
//   npm run build && node examples/stack.mjs [HOST]
import { ParlanceError, RestEvent, WebSocketEvent } from "parlance-client";

const host = process.argv[2] ?? "localhost:8080";
try {
  // Over REST; WebSocketEvent has the same calls.
  const client = new RestEvent(host, false);
  const session = await client.authorizeStack({ scope: "persistent" });
  console.log((await client.bootstrapStack({ data: "Hello, Stack!" })).result);

  // A path, a browser's File, or a name with its content.
  const moon = { name: "moon.txt", content: "The moon is about 384400 kilometres away from the earth." };
  const stored = await client.storeData({ files: [moon], metadata: { category: "example" } });
  console.log(stored.result, stored.extras);

  const answer = await client.generateAnswer({ data: "How far away is the moon?" });
  console.log(answer.result);
  for (const passage of answer.extras.supporting_documents) {
    console.log("  from", passage.name, "at distance", passage.distance);
  }

  // The same session from another connection: a persistent one is kept by its id and secret.
  const socket = new WebSocketEvent(host, false);
  await socket.authorizeStack({ clientId: session.client_id, clientSecret: session.client_secret });
  for await (const event of socket.generateAnswer({ data: "And in miles?", stream: true })) {
    if (event.type === "agent_delta") process.stdout.write(event.delta);
  }
  console.log("\n" + (await socket.destroyStack({ data: "Goodbye!" })).result);
} catch (error) {
  if (!(error instanceof ParlanceError)) throw error;
  console.error(`stack: ${error.message}`);
  process.exitCode = 1;
}
