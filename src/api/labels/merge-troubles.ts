// Shows a trouble that several servers have in common once: one condition of the gateway in place of one of each server. Pure.
import { memoized } from "../../runtime/memo.ts";
import { firstNames } from "../../runtime/text/plain-text.ts";
import type { BackendStatus, Condition, StatusReport } from "../contract/contract.ts";
import { troublesOf } from "./label.ts";
import { shareLabel } from "./share-labels.ts";

/** The code of the condition that names the servers which wait for a share. */
export const SERVERS_WAIT = "servers_wait";

/** Servers named in the one line of their cause; each has its state in its own row. */
export const MOST_NAMED = 8;

interface MergedStatus {
  readonly status: StatusReport;
  /** The servers whose first trouble is shown elsewhere: with their share, or for several servers at once. */
  readonly covered: ReadonlySet<string>;
  /** The covered servers by what is wrong with them. */
  readonly groups: readonly { readonly names: readonly string[]; readonly text: string }[];
}

interface Explained {
  readonly name: string;
  readonly condition: Condition;
}

/** Merged once for each status, as several parts of a view ask. */
export const mergeTroubles = memoized((status: StatusReport): MergedStatus => {
  const { shares, gateway, backends = [] } = status;
  const isTroubled = new Set(
    shares.filter((share) => ["bad", "warning"].includes(shareLabel(share).tone)).map(({ name }) => name),
  );
  const explained = backends.flatMap(({ name, enabled, conditions }): Explained[] => {
    const [condition] = enabled ? troublesOf(conditions) : [];
    return condition?.cause === undefined ? [] : [{ name, condition }];
  });
  const waits = Map.groupBy(explained, ({ condition: { share } }) =>
    share !== undefined && isTroubled.has(share) ? share : null,
  );
  const causes = Map.groupBy(waits.get(null) ?? [], ({ condition: { cause } }) => JSON.stringify(cause));
  const common = [...causes.values()].filter(({ length }) => length > 1);
  waits.delete(null);
  const groups = [...common, ...waits.values()].map((alike) => ({
    names: alike.map(({ name }) => name),
    text: alike[0]?.condition.cause?.text ?? "",
  }));
  const covered = new Set(groups.flatMap(({ names }) => names));
  if (gateway === undefined || covered.size === 0) return { status, covered, groups };
  return {
    ...{ covered, groups },
    status: {
      ...status,
      shares: shares.map((share) => {
        const waiting = waits.get(share.name);
        return waiting === undefined
          ? share
          : { ...share, conditions: [...share.conditions, waitingFor(waiting)] };
      }),
      gateway: { ...gateway, conditions: [...gateway.conditions, ...common.flatMap(commonCondition)] },
      backends: backends.map((backend) => (covered.has(backend.name) ? withoutFirst(backend) : backend)),
    },
  };
});

function namesOf(alike: readonly Explained[]): string {
  return firstNames(alike, ({ name }) => name, MOST_NAMED);
}

function oldest(alike: readonly Explained[]): string {
  return alike.map(({ condition }) => condition.since).sort()[0] ?? "";
}

function waitingFor(alike: readonly Explained[]): Condition {
  const title = `${namesOf(alike)} ${alike.length === 1 ? "waits" : "wait"} for it`;
  return { code: SERVERS_WAIT, severity: "info", title, hint: null, since: oldest(alike) };
}

function commonCondition(alike: readonly Explained[]): readonly Condition[] {
  const [first] = alike;
  const cause = first?.condition.cause;
  if (first === undefined || cause === undefined) return [];
  const worst = alike.find(({ condition }) => condition.severity === "error") ?? first;
  const { code, severity } = worst.condition;
  const title = `${namesOf(alike)}: ${cause.text}`;
  return [{ code, severity, title, hint: cause.hint, since: oldest(alike), cause }];
}

function withoutFirst(backend: BackendStatus): BackendStatus {
  const [first] = troublesOf(backend.conditions);
  const conditions = backend.conditions.filter((condition) => condition !== first);
  return { ...backend, conditions, reason: null, last_error: null };
}
