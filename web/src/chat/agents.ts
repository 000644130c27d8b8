// Agents of the platform.
import { LONG_PATIENCE_MS, newId, Refusal, send } from "../shared/http";
import { Store } from "../shared/store";

export interface AgentSettings {
  name: string;
  description: string | null;
  prompt: string;
  model: string | null;
  temperature: number | null;
  voice: string | null;
  tools: string[];
}

export interface Agent extends AgentSettings {
  id: string;
  created_at: string;
}

/** Null until they were fetched. */
export const agents = new Store<readonly Agent[] | null>(null);

const PAGE = 200;

export async function loadAgents(): Promise<void> {
  const all: Agent[] = [];
  let cursor: string | null = null;
  do {
    const query = new URLSearchParams({ limit: String(PAGE), ...(cursor && { cursor }) });
    const page = (await (await send("GET", `/api/v1/agent?${query}`)).json()) as { items: Agent[]; next_cursor: string | null };
    all.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor && all.length < 1000);
  agents.set(all);
}

export function agentOf(id: string | undefined): Agent | undefined {
  return id === undefined ? undefined : agents.get()?.find((each) => each.id === id);
}

/** An agent with the tag of its version. */
export async function readAgent(id: string): Promise<{ agent: Agent; tag: string }> {
  const response = await send("GET", `/api/v1/agent/${id}`);
  return { agent: await response.json(), tag: response.headers.get("ETag") ?? "*" };
}

export async function createAgent(settings: AgentSettings, key = newId()): Promise<Agent> {
  const response = await send("POST", "/api/v1/agent", { body: settings, headers: { "Idempotency-Key": key } });
  const agent: Agent = await response.json();
  agents.update((all) => [agent, ...(all ?? []).filter((each) => each.id !== agent.id)]);
  return agent;
}

/** Refused with 412 when somebody was faster. */
export async function changeAgent(id: string, settings: AgentSettings, tag: string): Promise<Agent> {
  const response = await send("PUT", `/api/v1/agent/${id}`, { body: settings, headers: { "If-Match": tag } });
  const agent: Agent = await response.json();
  agents.update((all) => (all ?? []).map((each) => (each.id === id ? agent : each)));
  return agent;
}

/** Refused with 409 while it has sessions, unless they are to go as well. */
export async function deleteAgent(id: string, withSessions: boolean): Promise<void> {
  try {
    await send("DELETE", `/api/v1/agent/${id}${withSessions ? "?cascade=true" : ""}`, { patience: LONG_PATIENCE_MS });
  } catch (error) {
    if (!(error instanceof Refusal && error.status === 404)) throw error;
  }
  agents.update((all) => (all ?? []).filter((each) => each.id !== id));
}
