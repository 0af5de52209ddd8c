// Opens links to backends: over HTTP, as a program, or through another machine.
import { homedir } from "node:os";
import { duplexPair } from "node:stream";
import type { OpenLink } from "../backends/links/backend-link.ts";
import { EraMemory, openEraLink } from "../backends/links/era/era-link.ts";
import { openHttpLink } from "../backends/links/http/http-link.ts";
import { openStdioLink } from "../backends/links/stdio/stdio-link.ts";
import type { Warden } from "../backends/links/stdio/warden.ts";
import { openStreamLink } from "../backends/links/stream/stream-link.ts";
import type { PoolOptions } from "../backends/pool/backend-pool.ts";
import type { SignIns } from "../backends/server-sign-in/sign-ins.ts";
import { createCallerMarks } from "../caller-marks.ts";
import { MODERN_VERSION } from "../protocol.ts";
import type { OpenMachine } from "./borrowed-backends.ts";
import type { GatewayOptions } from "./gateway-contract.ts";

interface BackendLinksOptions
  extends Pick<GatewayOptions, "clock" | "logger" | "announce" | "programEnvironment" | "guarded"> {
  readonly warden: Warden;
  readonly openMachine?: GatewayOptions["openMachine"];
  readonly signIns: () => SignIns | null;
}

export function backendLinks(options: BackendLinksOptions): PoolOptions["openLink"] {
  const { clock, logger, warden, signIns, announce, programEnvironment } = options;
  const { openMachine = unreached } = options;
  const { guarded = { homes: [], configs: [], userHome: homedir() } } = options;
  const memory = new EraMemory();
  const callerMarks = createCallerMarks();
  return (connection, backend, secrets, route, key) => {
    const common = { backend, key, memory, clock, logger };
    if (connection.type === "fleet") {
      const open = openStreamLink({ open: (onEnd) => openMachine(connection, onEnd), clock });
      return openEraLink({ ...common, over: "stream", isPinned: false, open, callerMarks });
    }
    const isPinned = connection.protocol === MODERN_VERSION;
    if (connection.type !== "stdio") {
      // Only the first route (`route` null) uses a person's sign-in. Other routes need client credentials to sign in.
      const isMachine = connection.auth?.type === "client-credentials";
      const name = route === null ? backend : isMachine ? `${backend}/${route}` : null;
      const authorize = () => (name === null ? null : (signIns()?.authorize(name, connection) ?? null));
      const open = openHttpLink({ ...connection, authorize, clock, secrets });
      return openEraLink({ ...common, over: "http", isPinned, open });
    }
    const { shown, sandbox, protocol: _protocol, clientFolders, clientFolder, ...program } = connection;
    const cwd = clientFolder ?? connection.cwd;
    const allowed = clientFolder === undefined ? null : (clientFolders ?? []);
    const env = { ...programEnvironment, ...connection.env };
    const apart = sandbox === undefined ? {} : { sandbox: { config: sandbox, guarded } };
    const inFolder = clientFolders === undefined ? {} : { inClientFolder: { allowed, guarded } };
    const open = openStdioLink({ ...program, ...apart, ...inFolder, cwd, env, warden, clock, secrets });
    const announced: OpenLink = (events) => {
      const link = open(events);
      const { pid } = link;
      const sandboxed = sandbox !== undefined;
      if (pid !== null) announce({ name: "backend.started", backend, pid, ...shown, cwd, sandboxed });
      return link;
    };
    return openEraLink({ ...common, over: "process", isPinned, open: announced });
  };
}

/** Used without a fleet. The stream ends at once, because no other machine can be reached. */
const unreached: OpenMachine = ({ machine }, onEnd) => {
  const [ours, theirs] = duplexPair();
  setImmediate(() => {
    onEnd({ message: `${machine} is not reached from here`, hint: null, wasReached: false });
    theirs.destroy();
  });
  return ours;
};
