// The gateway's operations in the management API: tools, calls, restarts, logs.

import {
  isCalled,
  MOST_SHOWN,
  type ToolChange,
  type ToolChangesReport,
} from "../../api/contract/tool-changes.ts";
import { gatewayOff, selectBackends, toolUnknown } from "../../api/operations/gateway-names.ts";
import type { Control } from "../../api/operations/operations.ts";
import { AUTO_ROUTE } from "../../config/values/backend-names.ts";
import { entryOf } from "../../gateway/catalog/resolve.ts";
import { INVALID_PARAMS } from "../../gateway/json-rpc.ts";
import { memberChanges } from "../../gateway/pins/pinned-entry.ts";
import type { ConnectedClient } from "../../gateway/serving/connected-clients.ts";
import type { Gateway } from "../../gateway/serving/gateway.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { durationText } from "../../runtime/text/plain-text.ts";
import { isoTime } from "../../runtime/time/clock.ts";
import { catalogReport } from "./catalog-report.ts";
import { clientStatus, toolEntry } from "./gateway-status.ts";
import { accountAddress, answerRequest, peopleReport } from "./people-report.ts";
import { withheldEntries } from "./withheld-entries.ts";

/** `current` returns null while no gateway is configured; then every operation rejects with `gateway_off`. */
export function createGatewayControl(current: () => Gateway | null) {
  const gateway = (): Gateway => {
    const running = current();
    if (running === null) throw gatewayOff();
    return running;
  };
  const select = (selection: readonly string[] | null): readonly string[] => {
    const { backends } = gateway().view();
    const known = backends.filter(({ phase }) => phase !== "ShuttingDown").map(({ name }) => name);
    return selectBackends(selection, known);
  };
  return {
    async tools() {
      const running = gateway();
      await running.currentTools();
      return {
        tools: running.entries().tools.map(toolEntry),
        off: offTools(running).map(({ name, backend }) => ({ name, backend })),
      };
    },
    async switchTools({ tools, on }) {
      const outcome = await gateway().switchTools(tools, on);
      if ("switched" in outcome) return { switched: [...outcome.switched] };
      const known = [...gateway().entries().tools, ...offTools(gateway())];
      throw toolUnknown(
        outcome.unknown,
        known.map(({ name }) => name),
      );
    },
    async clients() {
      const { clients, served } = gateway().serving;
      const runs = ({ client }: ConnectedClient): boolean =>
        served.forClient(client).mayRunScripts(client.principal);
      return {
        clients: clients.list.map((one) => ({
          ...clientStatus(one),
          ...(runs(one) && { runs_scripts: true }),
        })),
      };
    },
    async people(request) {
      return peopleReport(gateway(), request);
    },
    userAccount: async (request) => ({ address: await accountAddress(gateway(), request) }),
    async accessRequest(request) {
      return answerRequest(await gateway().clients.server(), request);
    },
    async questions() {
      const list = gateway().questions?.list ?? [];
      return {
        questions: list.map(({ code, openedMs, tool, server, lines }) => ({
          ...{ tool, server, lines: [...lines], opened: isoTime(openedMs) },
          code: `${code.slice(0, 3)}-${code.slice(3)}`,
        })),
      };
    },
    async answer({ code, allow, from }) {
      const running = gateway();
      const answered = running.questions?.answer(code, allow) ?? null;
      if (answered === null)
        throw new MountaineerError("permission_denied", "no question has this code now", {
          hint: "it was answered, or ten minutes have passed",
        });
      const { tool, server, by, effect, openedMs, answeredMs } = answered;
      const after = durationText(answeredMs - openedMs);
      running.record({
        ...{ time: isoTime(answeredMs), event: "question.answered", entry: `${server}/${tool}` },
        summary: `${allow ? "allowed" : "denied"} by the owner (${from}) after ${after}, for ${by}`,
      });
      return { effect, detail: ANSWER_EFFECTS[effect] };
    },
    async changeGrants({ ids, to }) {
      const changed = await gateway().clients.change(ids, to);
      return { changed: changed.map(({ client }) => client.name) };
    },
    async catalog() {
      const running = gateway();
      const needShare = running
        .view()
        .backends.filter(({ conditions }) => conditions.some(({ code }) => code === "share_away"));
      const { catalog } = running.serving;
      const withheld = withheldEntries(catalog, running.trust().pending, (backend) =>
        needShare.some(({ name }) => name === backend),
      );
      return catalogReport(catalog, withheld);
    },
    async call({ tool, arguments: given = {} }, signal) {
      const running = gateway();
      const reply = await running.request("tools/call", { name: tool, arguments: given }, signal);
      signal.throwIfAborted();
      if (!("error" in reply)) return { result: { ...reply.result }, error: null };
      // For a tool that is known but cannot be used, the error says why.
      const isKnown = entryOf(running.serving.catalog, { kind: "tool", name: tool }) !== null;
      if (!isKnown && reply.error.code === INVALID_PARAMS) {
        throw toolUnknown(
          tool,
          running.entries().tools.map(({ name }) => name),
        );
      }
      return { result: null, error: reply.error };
    },
    async toolChanges({ tools = null }) {
      return toolChangesReport(gateway(), tools);
    },
    async approveTools({ items, discard_previous = false }) {
      const { isUnread, lost } = gateway().trust();
      if (isUnread) {
        throw new MountaineerError("secret_unavailable", `nothing can be approved now: ${lost}`, {
          hint: "unlock the keyring: it is asked again every minute",
          retry: "later",
        });
      }
      const listed = items.map(({ backend, tool, digest }) => ({ backend, name: tool, digest }));
      const { approved, left } = await gateway().approveTools(listed, discard_previous);
      const itemsOf = (all: typeof approved) =>
        all.map(({ backend, name, digest }) => ({ backend, tool: name, digest }));
      return { approved: itemsOf(approved), skipped: itemsOf(left) };
    },
    async restart({ backends = null, user = null }) {
      const running = gateway();
      const disabled = running.view().backends.flatMap(({ name, enabled }) => (enabled ? [] : [name]));
      return {
        restarted: select(backends).filter(
          (name) => !disabled.includes(name) && running.pool.restart(name, user),
        ),
      };
    },
    async switchBackend({ backend, to }, signal) {
      select([backend]);
      const outcome = await gateway().pool.switchRoute(backend, to === AUTO_ROUTE ? null : to, signal);
      signal.throwIfAborted();
      if (outcome.ok) {
        const { route, changed } = outcome;
        const over = `over route ${route}`;
        const detail = to === AUTO_ROUTE ? `${over}, back to automatic` : changed ? over : `${over} already`;
        return { backend, result: changed ? "switched" : "skipped", route, detail };
      }
      const now = gateway()
        .view()
        .backends.find(({ name }) => name === backend);
      return { backend, result: "failed", route: now?.routes?.inUse ?? null, detail: outcome.reason };
    },
    async logs({ backend }) {
      select([backend]);
      return { lines: [...(gateway().pool.logLines(backend) ?? [])] };
    },
  } satisfies Partial<Control>;
}

/**
 * The pending changes of the tools in `named`; null: of all tools. `members` is filled only for the first
 * `MOST_SHOWN` changes.
 */
export function toolChangesReport(gateway: Gateway, named: readonly string[] | null): ToolChangesReport {
  const { tools, prompts, resources } = gateway.entries();
  const published = new Map(
    [...tools, ...prompts, ...resources].map((entry) => [
      keyOf(entry.backend, entry.kind, entry.originalName),
      entry,
    ]),
  );
  const { pending, lost, unseen } = gateway.trust();
  const all = pending.map((one) => {
    const { backend, kind, name, isWithheld, digest, before } = one;
    const entry = published.get(keyOf(backend, kind, name));
    const change: ToolChange = {
      backend,
      tool: name,
      ...(kind === "tool" ? {} : { what: kind }),
      published_as: entry?.name ?? null,
      ...(entry?.setArguments === undefined ? {} : { set_arguments: { ...entry.setArguments } }),
      kind: one.change,
      withheld: isWithheld,
      digest,
      before_known: before !== null || one.change === "new",
      members: null,
    };
    return { change, one };
  });
  const chosen =
    named === null ? all : all.filter(({ change }) => named.some((name) => isCalled(change, name)));
  return {
    changes: chosen.map(({ change, one }, index) => ({
      ...change,
      members:
        index < MOST_SHOWN
          ? memberChanges(one.before, one.definition).map((member) => ({ ...member }))
          : null,
    })),
    unseen: unseen.map(({ name, faults, ...one }) => ({ ...one, entry: name, faults: [...faults] })),
    lost,
  };
}

const ANSWER_EFFECTS = {
  run: "allowed: the call runs, once",
  stored: "allowed: no call waits now, and the same call runs once within ten minutes",
  denied: "denied: the same call is refused for ten minutes",
};

function offTools({ serving }: Gateway) {
  return serving.catalog.entries.filter(({ status }) => status === "off");
}

function keyOf(...parts: readonly string[]): string {
  return JSON.stringify(parts);
}
