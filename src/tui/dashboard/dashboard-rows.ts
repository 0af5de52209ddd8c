// The rows of the dashboard, in order, and which of them can be chosen. Pure.
import type { ApprovalsReport } from "../../api/contract/approvals.ts";
import type {
  BackendStatus,
  ClientStatus,
  Condition,
  ShareStatus,
  StatusReport,
} from "../../api/contract/contract.ts";
import { backendLabel } from "../../api/labels/backend-labels.ts";
import { clientCells } from "../../api/labels/client-labels.ts";
import { SEVERITY_TONES, type StateLabel, type Tone, wholeText, worstFirst } from "../../api/labels/label.ts";
import { mergeTroubles } from "../../api/labels/merge-troubles.ts";
import { readyText, shareLabel } from "../../api/labels/share-labels.ts";
import { shareFacts } from "../../api/labels/traffic-labels.ts";

export type OwnerRow =
  | { readonly kind: "share"; readonly id: string; readonly share: ShareStatus }
  | { readonly kind: "backend"; readonly id: string; readonly backend: BackendStatus };

export type DashboardRow =
  | OwnerRow
  | { readonly kind: "head"; readonly text: string }
  /** Thunderbolt is back, and the share does not use it yet. */
  | { readonly kind: "ready"; readonly text: string; readonly share: ShareStatus }
  | {
      readonly kind: "client";
      readonly id: string;
      readonly client: ClientStatus;
      /** The result of `clientCells`. */
      readonly cells: readonly string[];
    }
  | { readonly kind: "waiting"; readonly id: string; readonly summary: string }
  | {
      readonly kind: "condition";
      readonly id: string;
      readonly subject: string | null;
      readonly condition: Condition;
      /**
       * The share or backend that the condition concerns, on which keys act; null: the condition concerns the
       * daemon or the gateway.
       */
      readonly owner: OwnerRow | null;
    };

export type ChoiceRow = Extract<DashboardRow, { readonly id: string }>;

export function isChoice(row: DashboardRow): row is ChoiceRow {
  return "id" in row;
}

/** The content of a dashboard: everything, or one half. */
export type DashboardView = "Home" | "Shares" | "Servers";

export interface DashboardFacts {
  readonly status: StatusReport;
  readonly approvals: ApprovalsReport | null;
  readonly clients?: readonly ClientStatus[];
  readonly nowMs?: number;
}

/**
 * The rows of `view` with a text that `isWanted` accepts: errors and warnings first, mere information last; among
 * shares and among servers, those in trouble first.
 */
export function dashboardRows(
  { status, approvals, clients = [], nowMs = 0 }: DashboardFacts,
  view: DashboardView = "Home",
  isWanted: (text: string) => boolean = () => true,
): readonly DashboardRow[] {
  const { global, aliases = [] } = status;
  const { gateway, ...merged } = mergeTroubles(status).status;
  const shares = (view === "Servers" ? [] : status.shares).map(
    (share) => ({ kind: "share", id: `share ${share.name}`, share }) as const,
  );
  const backends = (view === "Shares" ? [] : (status.backends ?? [])).map(
    (backend) => ({ kind: "backend", id: `server ${backend.name}`, backend }) as const,
  );
  const waiting = view === "Home" ? (approvals?.waiting ?? []) : [];
  const found = [
    ...(view === "Home" ? conditionRows(null, null, global.conditions) : []),
    ...(view === "Shares" ? [] : conditionRows("gateway", null, gateway?.conditions ?? [])),
    ...shares.flatMap((row, at) => conditionRows(row.share.name, row, merged.shares[at]?.conditions)),
    ...backends.flatMap((row, at) => conditionRows(row.backend.name, row, merged.backends?.[at]?.conditions)),
  ];
  const sorted = worstFirst(found, ({ condition }) => SEVERITY_TONES[condition.severity]);
  const isInfo = ({ condition }: (typeof found)[number]): boolean => condition.severity === "info";
  const broken = aliases.filter(({ link }) => link !== "right").length;
  const rowsOf = (what: string, rows: readonly ChoiceRow[], more: string | null = null) => {
    const wanted = rows.filter((row) => isWanted(textOf(row)));
    return wanted.length === 0 ? [] : [head(what, wanted.length, more), ...wanted];
  };
  const clientRows = (view === "Shares" ? [] : clients)
    .filter(({ idle }) => idle !== true)
    .map((client, at): ChoiceRow => {
      return { kind: "client", id: `client ${at}`, client, cells: clientCells(client, nowMs) };
    });
  const changes = waiting.map(({ id, summary }): ChoiceRow => {
    return { kind: "waiting", id: `waiting ${id}`, summary: `${id}: ${summary}` };
  });
  return [
    ...rowsOf("Waits for approval", changes),
    ...rowsOf(
      "Needs attention",
      sorted.filter((row) => !isInfo(row)),
    ),
    ...rowsOf(
      "Shares",
      worstFirst(shares, toneOf),
      broken === 0 ? null : `${broken} aliases not right`,
    ).flatMap((row): DashboardRow[] => {
      const text = row.kind === "share" ? readyText(row.share, global, nowMs) : null;
      return row.kind !== "share" || text === null ? [row] : [row, { kind: "ready", text, share: row.share }];
    }),
    ...rowsOf("Servers", worstFirst(backends, toneOf), gateway?.url ?? "not listening"),
    ...rowsOf("Clients", clientRows),
    ...rowsOf("Notes", sorted.filter(isInfo)),
  ];
}

function labelOf(row: OwnerRow): StateLabel {
  return row.kind === "share" ? shareLabel(row.share) : backendLabel(row.backend);
}

/** Only trouble changes the order. */
function toneOf(row: OwnerRow): Tone {
  const { tone } = labelOf(row);
  return tone === "good" ? "plain" : tone;
}

/** What a filter looks for in a row. */
function textOf(row: ChoiceRow): string {
  switch (row.kind) {
    case "share":
    case "backend": {
      const { text, why } = labelOf(row);
      const more = row.kind === "share" ? shareFacts(row.share).join(" ") : (row.backend.group ?? "");
      return `${row.id} ${text} ${why ?? ""} ${more}`;
    }
    case "client":
      return row.cells.join(" ");
    case "waiting":
      return row.summary;
    case "condition":
      return wholeText({ about: row.subject, text: `${row.condition.title} ${row.condition.hint ?? ""}` });
  }
}

function conditionRows(
  subject: string | null,
  owner: OwnerRow | null,
  conditions: readonly Condition[] = [],
) {
  return conditions.map((condition) => {
    const id = `condition ${subject ?? ""} ${condition.code} ${condition.title}`;
    return { kind: "condition", id, subject, condition, owner } as const;
  });
}

function head(what: string, count: number, more: string | null): DashboardRow {
  return { kind: "head", text: `${what} (${count})${more === null ? "" : `  ${more}`}` };
}

/**
 * Returns the chosen row. If it is gone, returns the first share or backend, else the first row; null if there are no
 * rows.
 */
export function chosenRow(rows: readonly DashboardRow[], chosen: string | null): ChoiceRow | null {
  const choices = rows.filter(isChoice);
  return choices.find(({ id }) => id === chosen) ?? choices.find(isOwner) ?? choices[0] ?? null;
}

function isOwner({ kind }: DashboardRow): boolean {
  return kind === "share" || kind === "backend";
}
