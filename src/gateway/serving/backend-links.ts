// How a backend is reached: over HTTP or as a program, in whichever version of MCP it speaks.
import { homedir } from "node:os";
import { duplexPair } from "node:stream";
import type { OpenLink } from "../backends/links/backend-link.ts";
import { openEraLink } from "../backends/links/era/era-link.ts";
import { EraMemory } from "../backends/links/era/era-memory.ts";
import { openHttpLink } from "../backends/links/http/http-link.ts";
import { openStdioLink } from "../backends/links/stdio/stdio-link.ts";
import type { Warden } from "../backends/links/stdio/warden.ts";
import { openStreamLink } from "../backends/links/stream/stream-link.ts";
import type { PoolOptions } from "../backends/pool/backend-pool.ts";
import type { SignIns } from "../backends/sign-in/sign-ins.ts";
import { createCallerMarks } from "../caller-marks.ts";
import type { OpenMachine } from "./borrowed-backends.ts";
import type { GatewayOptions } from "./gateway-contract.ts";

interface BackendLinksOptions
  extends Pick<GatewayOptions, "clock" | "logger" | "announce" | "programEnvironment" | "guarded"> {
  readonly warden: Warden;
  readonly openMachine?: GatewayOptions["openMachine"];
  /** Null: nobody signs in anywhere. */
  readonly signIns: () => SignIns | null;
}

export function backendLinks(options: BackendLinksOptions): PoolOptions["openLink"] {
  const { clock, logger, warden, signIns, announce, programEnvironment } = options;
  const { openMachine = unreached } = options;
  const { guarded = { homes: [], configs: [], userHome: homedir() } } = options;
  const memory = new EraMemory();
  const callerMarks = createCallerMarks();
  const eitherVersion = (backend: string, key: string, isProcess: boolean, open: OpenLink): OpenLink =>
    openEraLink({ backend, key, open, isProcess, memory, clock, logger });
  return (connection, backend, secrets, route, key) => {
    if (connection.type === "fleet") {
      const open = openStreamLink({ open: (onEnd) => openMachine(connection, onEnd), clock });
      return openEraLink({ backend, key, open, isProcess: false, callerMarks, memory, clock, logger });
    }
    if (connection.type !== "stdio") {
      // People sign in over the first route; over another one a machine may, by its own secret.
      const isMachine = connection.auth?.type === "client-credentials";
      const name = route === null ? backend : isMachine ? `${backend}/${route}` : null;
      const authorize = () => (name === null ? null : (signIns()?.authorize(name, connection) ?? null));
      const open = openHttpLink({ ...connection, authorize, clock, secrets });
      return eitherVersion(backend, key, false, open);
    }
    const { shown, cwd, sandbox, ...program } = connection;
    const env = { ...programEnvironment, ...connection.env };
    const apart = sandbox === undefined ? {} : { sandbox: { config: sandbox, guarded } };
    const open = openStdioLink({ ...program, ...apart, cwd, env, warden, clock, secrets });
    return eitherVersion(backend, key, true, (events) => {
      const link = open(events);
      const { pid } = link;
      const sandboxed = sandbox !== undefined;
      if (pid !== null) announce({ name: "backend.started", backend, pid, ...shown, cwd, sandboxed });
      return link;
    });
  };
}

/** Of a gateway that knows no other machines. */
const unreached: OpenMachine = ({ machine }, onEnd) => {
  const [ours, theirs] = duplexPair();
  setImmediate(() => {
    onEnd({ message: `${machine} is not reached from here`, hint: null, wasReached: false });
    theirs.destroy();
  });
  return ours;
};
