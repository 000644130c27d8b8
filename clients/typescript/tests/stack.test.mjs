// The KISS stack's calls over REST and over a WebSocket, against the real server.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { ParlanceError, RestEvent, WebSocketEvent } from "parlance-client";

import { Server, using, within } from "./server.mjs";

const MOON = "The moon is about 384400 kilometres away from the earth.";
const SECRET_KEY = "a-key-of-the-tests-of-at-least-32-bytes";
const SLOW = ["--tokens", "40", "--token-ms", "10"];

let server;
before(async () => (server = await Server.start({ environment: { ACCESS_TOKEN_SECRET_KEY: SECRET_KEY } })));
after(() => server.end());

async function opened(Kind, at = server, scope = "temporary") {
  const client = new Kind(at.host, false);
  await client.authorizeStack({ scope });
  await client.bootstrapStack();
  return client;
}

/** Makes the client's access token one that has expired. */
function expire(client) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const { session } = client;
  const claims = { sub: session.client_id, scope: session.scope, iat: now - 600, exp: now - 300 };
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  session.access_token = `${signed}.${createHmac("sha256", SECRET_KEY).update(signed).digest("base64url")}`;
  return session.access_token;
}

const refused = (status) => (error) => error instanceof ParlanceError && error.status === status && !!error.detail;

for (const Kind of [RestEvent, WebSocketEvent]) {
  describe(Kind.name, () => {
    test("has the calls of the old client", async () => {
      const moon = join(server.folder, "moon.txt");
      await writeFile(moon, MOON);
      const client = new Kind(server.host, false);
      const session = await client.authorizeStack({ scope: "temporary" });
      assert.ok(session.access_token && session.client_id && session.client_secret);
      let response = await client.bootstrapStack({ data: "Hello, Stack!" });
      assert.equal(response.stack_id, session.client_id);
      response = await client.generateAnswer({ data: "What is the weather today?" });
      assert.ok(response.result);
      response = await client.storeData({ files: [moon], metadata: { category: "example" } });
      assert.equal(response.result, "Files stored");
      response = await client.generateAnswer({ data: "How far away is the moon?" });
      assert.equal(response.extras.supporting_documents[0].name, "moon.txt");
      assert.deepEqual(response.extras.metadata[0], { category: "example" });
      response = await client.destroyStack({ data: "Goodbye!" });
      assert.equal(response.stack_id, session.client_id);
      assert.equal(client.session, undefined);
    });

    test("stores what a browser has: names with bytes, blobs and texts", async () => {
      const client = await opened(Kind);
      const files = [
        { name: "text.txt", content: MOON },
        { name: "bytes.txt", content: new TextEncoder().encode("The sun is about 150 million kilometres away.") },
        { name: "blob.txt", content: new Blob(["مرحبا بالعالم"]) },
      ];
      const { extras } = await client.storeData({ files });
      assert.equal(Object.values(extras).flat().length, 3);
      await client.destroyStack();
    });

    test("renews the token of a persistent session, once for all calls", async () => {
      const client = await opened(Kind, server, "persistent");
      const old = expire(client);
      const questions = Array.from({ length: 8 }, (_, n) => `Question ${n}?`);
      const answers = await Promise.all(questions.map((data) => client.generateAnswer({ data })));
      assert.deepEqual(answers.map((answer) => answer.extras.query), questions);
      assert.notEqual(client.session.access_token, old);
      await client.destroyStack();
    });

    test("cannot renew the token of a temporary session", async () => {
      const client = await opened(Kind);
      expire(client);
      await assert.rejects(client.generateAnswer({ data: "Hello?" }), refused(401));
      client.close?.();
    });

    test("tells the status of a refusal and why", async () => {
      const client = new Kind(server.host, false);
      await client.authorizeStack({ scope: "temporary" });
      await assert.rejects(client.generateAnswer({ data: "Too early?" }), refused(409));
      client.close?.();
    });

    test("refuses a call before authorizeStack by itself", async () => {
      await assert.rejects(new Kind(server.host, false).bootstrapStack(), /authorizeStack first/);
    });

    test("takes a server that is away for an error without a status", async () => {
      const client = new Kind("127.0.0.1:1", false);
      await assert.rejects(
        client.authorizeStack({ scope: "temporary" }),
        (error) => error instanceof ParlanceError && error.status === undefined && error.passing,
      );
    });

    test("finds a persistent session again after a crash", async () => {
      const own = await Server.start();
      try {
        const client = await opened(Kind, own, "persistent");
        await client.storeData({ files: [{ name: "moon.txt", content: MOON }] });
        const { client_id: clientId, client_secret: clientSecret } = client.session;
        client.close?.();
        await own.restart();
        const again = new Kind(own.host, false);
        assert.equal((await again.authorizeStack({ clientId, clientSecret })).client_id, clientId);
        const answer = await again.generateAnswer({ data: "How far away is the moon?" });
        assert.equal(answer.extras.supporting_documents[0].name, "moon.txt");
        again.close?.();
      } finally {
        await own.end();
      }
    });
  });
}

test("a refusal over REST names its request", async () => {
  const client = new RestEvent(server.host, false);
  await assert.rejects(
    client.authorizeStack({ clientId: "nobody", clientSecret: "wrong" }),
    (error) => refused(401)(error) && !!error.requestId,
  );
});

test("a streamed answer tells steps and deltas", using(SLOW, async (slow) => {
  const client = await opened(WebSocketEvent, slow);
  const stream = client.generateAnswer({ data: "Hello?", stream: true });
  const events = [];
  for await (const event of stream) events.push(event);
  const text = events.filter((e) => e.type === "agent_delta").map((e) => e.delta).join("");
  assert.equal(text, stream.answer.result);
  assert.equal(events.at(-1).step_type, "FinalAnswerStep");
  client.close();
}));

test("leaving a streamed answer leaves the next call alone", using(SLOW, async (slow) => {
  const client = await opened(WebSocketEvent, slow);
  for await (const _ of client.generateAnswer({ data: "One?", stream: true })) break;
  assert.equal((await client.generateAnswer({ data: "Two?" })).extras.query, "Two?");
  client.close();
}));

test("a socket lost in a call fails it, and the next call opens another", using(SLOW, async (slow) => {
  const client = await opened(WebSocketEvent, slow, "persistent");
  await assert.rejects(async () => {
    for await (const event of client.generateAnswer({ data: "One?", stream: true })) {
      if (event.type === "agent_delta") await slow.kill9();
    }
  }, /lost before the answer/);
  await slow.again();
  assert.equal((await client.generateAnswer({ data: "Two?" })).extras.query, "Two?");
  client.close();
}));

for (const name of ["stack.mjs", "chat.mjs"]) {
  test(`the example ${name} runs`, async () => {
    const path = fileURLToPath(new URL(`../examples/${name}`, import.meta.url));
    const example = spawn(process.execPath, [path, server.host, "example"], { stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    example.stdout.on("data", (bytes) => (said += bytes));
    const [code] = await within(once(example, "close"), "the end of the example");
    assert.equal(code, 0);
    assert.ok(said.length > 0);
  });
}
