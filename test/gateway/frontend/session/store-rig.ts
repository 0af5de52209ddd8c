// A store of sessions without a front, and sessions in it.
import assert from "node:assert/strict";
import { ANONYMOUS, type Principal } from "../../../../src/gateway/client-handle.ts";
import type { OtherDaemons } from "../../../../src/gateway/frontend/session/other-daemons.ts";
import { type SessionKeys, sessionKeyOf } from "../../../../src/gateway/frontend/session/sealed-session.ts";
import { Session } from "../../../../src/gateway/frontend/session/session.ts";
import { SessionStore } from "../../../../src/gateway/frontend/session/session-store.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import type { Clock } from "../../../../src/runtime/time/clock.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { createScriptedGateway, type ScriptedGateway } from "../scripted-gateway.ts";

export function keysOf(...secrets: readonly string[]): SessionKeys {
  const [seals = sessionKeyOf("home"), ...others] = secrets.map((secret) => sessionKeyOf(secret));
  return { seals, opens: [seals, ...others] };
}

interface StoreParts {
  readonly gateway?: ScriptedGateway;
  readonly clock?: Clock;
  readonly keys?: SessionKeys;
  readonly others?: OtherDaemons;
}

export function openStore(parts: StoreParts = {}): SessionStore {
  const { gateway = createScriptedGateway(), clock = createManualClock(), keys = keysOf(), others } = parts;
  return new SessionStore({ gateway, clock, logger: noopLogger, sessionKeys: () => keys, others });
}

export const CLIENT = {
  principal: ANONYMOUS,
  protocolVersion: "2025-11-25",
  capabilities: { roots: { listChanged: true }, elicitation: { form: {} } },
  clientInfo: { name: "test", version: "1" },
  group: null,
} as const;

interface BeginOptions {
  readonly principal?: Principal;
  readonly capabilities?: Session["capabilities"];
  readonly group?: string;
  readonly listens?: boolean;
}

export function begin(store: SessionStore, { listens = false, ...client }: BeginOptions = {}): Session {
  const session = store.open({ ...CLIENT, ...client });
  assert.ok(session instanceof Session, JSON.stringify(session));
  if (listens) {
    const stream = { congested: null, send: () => true, end: () => session.streamClosed(stream) };
    session.listen(stream);
  }
  return session;
}
