// A server of Node's on a free port of this machine, for as long as a test.
import type { Server as HttpServer } from "node:http";
import type { Server } from "node:net";
import type { TestContext } from "node:test";

/** Resolves with the port. */
export async function onLoopback(t: TestContext, server: Server | HttpServer): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    if ("closeAllConnections" in server) server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("it has no port");
  return address.port;
}
