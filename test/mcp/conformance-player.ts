// What stands behind the client that the official conformance suite starts: the scenario is played here, because a
// process of its own would load all sources each time.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { errorText } from "../../src/runtime/errors.ts";

const PROGRAM = fileURLToPath(new URL("fixtures/conformance-client.ts", import.meta.url));

/** What the suite tells the client that it starts. */
export interface AskedScenario {
  /** The server's. */
  readonly url: string;
  readonly name: string;
  readonly context: Readonly<Record<string, unknown>>;
}

export interface ConformanceClient extends AsyncDisposable {
  /** What the suite starts. */
  readonly command: string;
}

/** `play` resolves with null when all of it went well, else with what did not. */
export async function startConformanceClient(
  play: (asked: AskedScenario) => Promise<string | null>,
): Promise<ConformanceClient> {
  const server = createServer(async (request, response) => {
    const problem = await play((await json(request)) as AskedScenario).catch(errorText);
    response.writeHead(problem === null ? 200 : 500).end(problem);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  return {
    command: `${process.execPath} ${PROGRAM} http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await once(server.close(), "close");
    },
  };
}
