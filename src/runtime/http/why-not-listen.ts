// Whether a port is free, found by binding it.
import { createServer } from "node:net";
import { systemErrorCode } from "../errors.ts";

/** The errno, such as `EADDRINUSE`, or null if the port can be bound. */
export function whyNotListen(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error) => resolve(systemErrorCode(error) ?? "unknown"));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}
