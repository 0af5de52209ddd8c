// Owns what can be asked of the daemon: from a path to the call it means, its method and its limits.
import { MountaineerError } from "../../runtime/errors.ts";
import {
  CONFIG_OPERATIONS,
  GATEWAY_OPERATIONS,
  MANAGE_PREFIX,
  OPERATIONS,
  type OperationName,
  PLACE_OPERATIONS,
  type StepResult,
} from "../contract.ts";
import type { ConfigControl, DaemonControl, GatewayControl, PlaceControl } from "../control.ts";
import { gatewayOff } from "../gateway-names.ts";
import {
  readEditRequest,
  readEditTextRequest,
  readReloadRequest,
  readRollbackRequest,
} from "./config-request-body.ts";
import {
  readBackendLogsRequest,
  readBackendsRequest,
  readCallRequest,
  readFoldersRequest,
} from "./gateway-request-body.ts";
import { readRequestBody } from "./request-body.ts";

const BODY_LIMIT_BYTES = 64 * 1024;
/** The largest configuration (512 KiB), each byte of it at its longest in JSON (`\u0000`), and the fields around it. */
const TEXT_LIMIT_BYTES = 6 * 512 * 1024 + BODY_LIMIT_BYTES;
/** A tool may be given a file's content. */
const CALL_LIMIT_BYTES = 16 * 1024 * 1024;
const HISTORY_ENTRY = /^config\/history\/(\d{1,9})$/;

/** What is answered with 200. */
export type Answer =
  | { readonly kind: "json"; readonly value: unknown }
  | { readonly kind: "text"; readonly text: string };

/** Kinds of requests under way: of each a number of its own, so that none holds up the others. */
export type CountedKind = "steps" | "config" | "calls" | "places";

export interface Operation {
  readonly method: "GET" | "POST" | "PUT";
  readonly bodyLimitBytes: number;
  /** Which kind of requests under way it counts among; null: it is answered at once, whatever is under way. */
  readonly counts: CountedKind | null;
  /** Reads the body first, so that a bad one is refused before anything is begun. Throws `protocol`. */
  prepare(body: string): (signal: AbortSignal) => Answer | Promise<Answer>;
}

type ConfigOperationName = keyof typeof CONFIG_OPERATIONS;
type GatewayOperationName = keyof typeof GATEWAY_OPERATIONS;

/** What operations act on. */
interface Served {
  readonly control: DaemonControl;
  /** null serves nothing about the configuration. */
  readonly config: ConfigControl | null;
  /** null refuses all that is about the gateway with `gateway_off`. */
  readonly gateway: GatewayControl | null;
  /** Absent serves nothing about places. */
  readonly places?: PlaceControl | undefined;
}

/** The operation at a path (without its query); null when nothing is served there. */
export function findOperation(path: string, { control, config, gateway, places }: Served): Operation | null {
  if (!path.startsWith(`${MANAGE_PREFIX}/`)) return null;
  const name = path.slice(MANAGE_PREFIX.length + 1);
  if (isOwnKey(OPERATIONS, name)) return shareOperation(name, control);
  if (isOwnKey(GATEWAY_OPERATIONS, name)) return gatewayOperation(name, gateway);
  if (places !== undefined && isOwnKey(PLACE_OPERATIONS, name)) return placeOperation(name, places);
  if (config === null) return null;
  if (isOwnKey(CONFIG_OPERATIONS, name)) return configOperation(name, config);
  const n = HISTORY_ENTRY.exec(name)?.[1];
  if (n === undefined) return null;
  return {
    method: "GET",
    bodyLimitBytes: BODY_LIMIT_BYTES,
    counts: "config",
    prepare: () => async (signal) => ({ kind: "text", text: await config.historyText(Number(n), signal) }),
  };
}

function isOwnKey<T extends object>(table: T, name: string): name is keyof T & string {
  return Object.hasOwn(table, name);
}

function shareOperation(name: OperationName, control: DaemonControl): Operation {
  return {
    method: OPERATIONS[name],
    bodyLimitBytes: BODY_LIMIT_BYTES,
    counts: name === "status" ? null : "steps",
    prepare(body) {
      const call = shareCall(name, body, control);
      return async (signal) => ({ kind: "json", value: await call(signal) });
    },
  };
}

function shareCall(
  name: OperationName,
  body: string,
  control: DaemonControl,
): (signal: AbortSignal) => unknown {
  const steps = async (results: Promise<readonly StepResult[]>) => ({ results: [...(await results)] });
  switch (name) {
    case "status":
      return () => control.status();
    case "verify": {
      const { shares } = readRequestBody(body, ["shares"]);
      return (signal) => control.verify(shares, signal);
    }
    case "reconcile": {
      const { shares } = readRequestBody(body, ["shares"]);
      return (signal) => steps(control.reconcile(shares, signal));
    }
    case "mount": {
      const { shares } = readRequestBody(body, ["shares"]);
      return (signal) => steps(control.mount(shares, signal));
    }
    case "unmount": {
      const { shares, force } = readRequestBody(body, ["shares", "force"]);
      return (signal) => steps(control.unmount(shares, { force }, signal));
    }
    case "switch": {
      const { shares, to, force, wait } = readRequestBody(body, ["shares", "to", "force", "wait"]);
      if (to === null) throw new MountaineerError("protocol", "the body lacks to: tb, fallback or auto");
      return (signal) => steps(control.switchRoute(shares, { to, force, wait }, signal));
    }
  }
}

function placeOperation(name: keyof typeof PLACE_OPERATIONS, places: PlaceControl): Operation {
  return {
    method: PLACE_OPERATIONS[name],
    bodyLimitBytes: BODY_LIMIT_BYTES,
    counts: "places",
    prepare(body) {
      const call = placeCall(name, body, places);
      return async (signal) => ({ kind: "json", value: await call(signal) });
    },
  };
}

function placeCall(
  name: keyof typeof PLACE_OPERATIONS,
  body: string,
  places: PlaceControl,
): (signal: AbortSignal) => unknown {
  switch (name) {
    case "aliases":
      return (signal) => places.aliases(signal);
    case "aliases/reconcile":
      return (signal) => places.reconcileAliases(signal);
    case "folders": {
      const request = readFoldersRequest(body);
      return (signal) => places.folders(request, signal);
    }
  }
}

function configOperation(name: ConfigOperationName, config: ConfigControl): Operation {
  return {
    method: CONFIG_OPERATIONS[name],
    bodyLimitBytes: name === "config/text" ? TEXT_LIMIT_BYTES : BODY_LIMIT_BYTES,
    counts: name === "sync" ? null : "config",
    prepare(body) {
      const call = configCall(name, body, config);
      return async (signal) => ({ kind: "json", value: await call(signal) });
    },
  };
}

function configCall(
  name: ConfigOperationName,
  body: string,
  config: ConfigControl,
): (signal: AbortSignal) => unknown {
  switch (name) {
    case "sync":
      return () => config.sync();
    case "reload": {
      const request = readReloadRequest(body);
      return (signal) => config.reload(request, signal);
    }
    case "config":
      return (signal) => config.config(signal);
    case "config/edit": {
      const request = readEditRequest(body);
      return (signal) => config.edit(request, signal);
    }
    case "config/text": {
      const request = readEditTextRequest(body);
      return (signal) => config.editText(request, signal);
    }
    case "config/history":
      return (signal) => config.history(signal);
    case "config/rollback": {
      const request = readRollbackRequest(body);
      return (signal) => config.rollback(request, signal);
    }
  }
}

function gatewayOperation(name: GatewayOperationName, gateway: GatewayControl | null): Operation {
  return {
    method: GATEWAY_OPERATIONS[name],
    bodyLimitBytes: name === "call" ? CALL_LIMIT_BYTES : BODY_LIMIT_BYTES,
    // The rest is answered at once, and needed most when all calls hang.
    counts: name === "call" ? "calls" : null,
    prepare(body) {
      const call = gatewayCall(name, body, gateway);
      return async (signal) => ({ kind: "json", value: await call(signal) });
    },
  };
}

function gatewayCall(
  name: GatewayOperationName,
  body: string,
  gateway: GatewayControl | null,
): (signal: AbortSignal) => unknown {
  if (gateway === null) throw gatewayOff();
  switch (name) {
    case "tools":
      return (signal) => gateway.tools(signal);
    case "call": {
      const request = readCallRequest(body);
      return (signal) => gateway.call(request, signal);
    }
    case "backends/restart": {
      const { backends = null } = readBackendsRequest(body);
      return (signal) => gateway.restart(backends, signal);
    }
    case "backends/logs": {
      const { backend } = readBackendLogsRequest(body);
      return (signal) => gateway.logs(backend, signal);
    }
  }
}
