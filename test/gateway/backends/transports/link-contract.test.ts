import { fileURLToPath } from "node:url";
import { openHttpTransport } from "../../../../src/gateway/backends/transports/http/http-transport.ts";
import { openStdioTransport } from "../../../../src/gateway/backends/transports/stdio/stdio-transport.ts";
import { Warden } from "../../../../src/gateway/backends/transports/stdio/warden.ts";
import { noopLogger as logger } from "../../../../src/runtime/log/log.ts";
import { systemClock as clock } from "../../../../src/runtime/time/clock.ts";
import { freePort } from "../../../support/free-port.ts";
import { echoing, startHttpServer, startSseEcho } from "../programs/http-server.ts";
import { testLinkContract } from "./link-contract.ts";

const ECHO = fileURLToPath(new URL("../programs/link-echo.ts", import.meta.url));

testLinkContract({
  name: "stdio",
  tellsStream: false,
  async echo(t) {
    const warden = new Warden({ clock, logger });
    t.after(() => warden[Symbol.asyncDispose]());
    return openStdioTransport({ command: process.execPath, args: [ECHO], env: {}, cwd: "/", warden, clock });
  },
  async nothing(t) {
    const warden = new Warden({ clock, logger });
    t.after(() => warden[Symbol.asyncDispose]());
    return openStdioTransport({ command: "no-such-program", args: [], env: {}, cwd: "/", warden, clock });
  },
});

for (const answers of ["json", "events"] as const) {
  testLinkContract({
    name: `http, answers as ${answers}`,
    tellsStream: true,
    async echo(t) {
      const { url } = await startHttpServer(t, echoing(answers));
      return openHttpTransport({ url, headers: {}, clock });
    },
    async nothing() {
      return openHttpTransport({ url: `http://127.0.0.1:${await freePort()}/mcp`, headers: {}, clock });
    },
  });
}

testLinkContract({
  name: "http+sse",
  tellsStream: false,
  async echo(t) {
    const { url } = await startSseEcho(t);
    return openHttpTransport({ url, headers: {}, clock });
  },
  async nothing() {
    return openHttpTransport({ url: `http://127.0.0.1:${await freePort()}/sse`, headers: {}, clock });
  },
});
