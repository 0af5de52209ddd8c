// A program that starts backends as the daemon does, and then waits to be killed: `link-parent.ts COUNT COMMAND ARGS…`.
// With SANDBOXED set, each in a sandbox. Prints the process ids of the backends and of the warden, once each backend has written a line to stderr.
import { openStdioTransport } from "../../../../src/gateway/backends/transports/stdio/stdio-transport.ts";
import { Warden } from "../../../../src/gateway/backends/transports/stdio/warden.ts";
import { noopLogger as logger } from "../../../../src/runtime/log/log.ts";
import { systemClock as clock } from "../../../../src/runtime/time/clock.ts";

const [count = "1", command = "sh", ...args] = process.argv.slice(2);
const warden = new Warden({ clock, logger });
const config = { kind: "bubblewrap", read: [], write: [], network: false } as const;
const guarded = { homes: [], configs: [], userHome: "/home/ann" };
const apart = process.env["SANDBOXED"] === undefined ? {} : { sandbox: { config, guarded } };
const open = openStdioTransport({ command, args, env: {}, cwd: "/", warden, clock, ...apart });
const links = await Promise.all(
  Array.from({ length: Number(count) }, async () => {
    const ready = Promise.withResolvers<void>();
    const link = open({
      onMessage: () => null,
      onRequestFailed() {},
      onSuspect() {},
      onGap() {},
      onClosed() {},
      onQuirk() {},
      onLogLine: () => ready.resolve(),
    });
    await ready.promise;
    return link;
  }),
);
process.stdout.write(`${JSON.stringify({ groups: links.map(({ pid }) => pid), warden: warden.pid })}\n`);
setInterval(() => {}, 60_000);
