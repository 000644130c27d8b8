// The little of Node that is used where there is one, so that no package of types is needed.

declare module "node:fs/promises" {
  export function readFile(path: string): Promise<Uint8Array>;
}

declare module "node:crypto" {
  export function randomBytes(size: number): Uint8Array;
  export function createHash(name: "sha1"): {
    update(text: string): { digest(encoding: "base64"): string };
  };
}

declare module "node:http" {
  export interface Socket {
    setNoDelay(on: boolean): void;
    setTimeout(milliseconds: number): void;
    on(event: "data", listener: (bytes: Uint8Array) => void): void;
    on(event: "close" | "end", listener: () => void): void;
    on(event: "error", listener: (error: Error) => void): void;
    write(bytes: Uint8Array): void;
    end(): void;
    destroy(): void;
  }
  export interface Response {
    statusCode: number;
    headers: Record<string, string | undefined>;
    resume(): void;
  }
  export interface Request {
    on(event: "upgrade", listener: (response: Response, socket: Socket, head: Uint8Array) => void): void;
    on(event: "response", listener: (response: Response) => void): void;
    on(event: "error", listener: (error: Error) => void): void;
    end(): void;
    destroy(): void;
  }
  export function request(
    url: string,
    options: { headers: Record<string, string>; agent: false },
  ): Request;
}

declare module "node:https" {
  export { request } from "node:http";
}

declare const process: {
  argv: string[];
  exitCode: number | undefined;
  stdout: { write(text: string): void };
};
