// One message of a chat. Restart the server or pull the plug meanwhile: it goes on where it was.
//   npm run build && node examples/chat.mjs [HOST [CHAT_ID]]
import { ChatStream, isTerminal, ParlanceError } from "parlance-client";

const [host = "localhost:8080", chatId = "example"] = process.argv.slice(2);
const chat = new ChatStream(host, chatId, false, { tokens: true });
try {
  const messageId = await chat.send("What is 12 * (3 + 4)?");
  for await (const event of chat.events()) {
    if (event.type === "gap") {
      console.log("The server's data are others; this is what there is:", event.history);
    } else if (event.message_id !== messageId) {
      continue; // From earlier in this chat.
    } else if (event.type === "agent_delta") {
      process.stdout.write(event.delta);
    } else if (event.type === "agent_snapshot") {
      process.stdout.write("\n" + event.text);
    } else if (event.type === "agent_reset") {
      process.stdout.write("\n");
    } else if (event.type === "agent_step") {
      console.log(`\n[${event.step_type}] ${event.message}`);
    } else if (isTerminal(event)) {
      console.log(event.type === "agent_error" ? event.error : event.status, "at", event.cursor);
      break;
    }
  }
} catch (error) {
  if (!(error instanceof ParlanceError)) throw error;
  console.error(`chat: ${error.message}`);
  process.exitCode = 1;
} finally {
  chat.close();
}
