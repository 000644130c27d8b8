import { ParlanceError, seconds } from "./errors.js";

/** Posts JSON to one server, with every failure as a ParlanceError. */
export class JsonClient {
  constructor(
    private readonly baseUrl: string,
    private readonly timeoutSeconds: number,
  ) {}

  async post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<any> {
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), this.timeoutSeconds * 1000);
    let response: Response;
    let text: string;
    try {
      response = await fetch(this.baseUrl + path, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...headers },
        body: JSON.stringify(body),
        signal: limit.signal,
      });
      text = await response.text();
    } catch (error) {
      const what = limit.signal.aborted ? `none within ${this.timeoutSeconds} s` : reason(error);
      throw new ParlanceError(`no answer from ${this.baseUrl}: ${what}`);
    } finally {
      clearTimeout(timer);
    }
    const answer = decoded(text);
    const requestId = response.headers.get("X-Request-Id") ?? answer?.instance;
    if (!response.ok) {
      throw new ParlanceError(answer?.detail ?? answer?.title ?? `the server answered ${response.status}`, {
        status: response.status,
        requestId,
        retryAfter: seconds(response.headers.get("Retry-After")),
      });
    }
    if (answer === undefined) {
      throw new ParlanceError("the answer is no JSON object", { status: response.status, requestId });
    }
    return answer;
  }
}

/** Node tells that `fetch` failed, and in `cause` why. */
function reason(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return String((cause instanceof Error && cause.message) || error);
}

/** A JSON object; undefined for anything else. */
export function decoded(text: string): any {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
