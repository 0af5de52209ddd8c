// Owns what can be asked of the daemon: from a path to the call it means, its method and its limits.
import { MountaineerError } from "../runtime/errors.ts";
import {
  readEditRequest,
  readEditTextRequest,
  readReloadRequest,
  readRollbackRequest,
} from "./config-request-body.ts";
import {
  CONFIG_OPERATIONS,
  MANAGE_PREFIX,
  OPERATIONS,
  type OperationName,
  type StepResult,
} from "./contract.ts";
import type { ConfigControl, DaemonControl } from "./control.ts";
import { readRequestBody } from "./request-body.ts";

const BODY_LIMIT_BYTES = 64 * 1024;
/** The largest configuration (512 KiB), each byte of it at its longest in JSON (`\u0000`), and the fields around it. */
const TEXT_LIMIT_BYTES = 6 * 512 * 1024 + BODY_LIMIT_BYTES;
const HISTORY_ENTRY = /^config\/history\/(\d{1,9})$/;

/** What is answered with 200. */
export type Answer =
  | { readonly kind: "json"; readonly value: unknown }
  | { readonly kind: "text"; readonly text: string };

export interface Operation {
  readonly method: "GET" | "POST" | "PUT";
  readonly bodyLimitBytes: number;
  /** Which kind of requests under way it counts among; null: it is answered at once, whatever is under way. */
  readonly counts: "steps" | "config" | null;
  /** Reads the body first, so that a bad one is refused before anything is begun. Throws `protocol`. */
  prepare(body: string): (signal: AbortSignal) => Answer | Promise<Answer>;
}

type ConfigOperationName = keyof typeof CONFIG_OPERATIONS;

/** The operation at a path (without its query); null when nothing is served there. `config` null serves none of its own. */
export function findOperation(
  path: string,
  control: DaemonControl,
  config: ConfigControl | null,
): Operation | null {
  if (!path.startsWith(`${MANAGE_PREFIX}/`)) return null;
  const name = path.slice(MANAGE_PREFIX.length + 1);
  if (isOwnKey(OPERATIONS, name)) return shareOperation(name, control);
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
