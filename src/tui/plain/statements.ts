// What is to be said of a status in plain mode: one sentence for each thing, without figures that change by themselves.
import type { BackendStatus, Condition, ShareStatus, StatusReport } from "../../api/contract.ts";
import { backendWords, publishedText } from "../../api/words/backend-words.ts";
import { shareWords } from "../../api/words/share-words.ts";

/** Sentences by what they are about. */
export type Statements = ReadonlyMap<string, string>;

export function statementsOf({ global, shares, gateway, backends = [] }: StatusReport): Statements {
  const conditions = [
    ...global.conditions.map((each) => conditionStatement(null, each)),
    ...(gateway?.conditions ?? []).map((each) => conditionStatement("gateway", each)),
    ...shares.flatMap(({ name, conditions: own }) => own.map((each) => conditionStatement(name, each))),
    ...backends.flatMap(({ name, conditions: own }) => own.map((each) => conditionStatement(name, each))),
  ];
  return new Map([
    ...shares.map((share) => [`share ${share.name}`, shareSentence(share)] as const),
    ...(gateway === undefined
      ? []
      : [
          [
            "gateway",
            gateway.url === null ? "gateway: not listening" : `gateway: listens at ${gateway.url}`,
          ] as const,
        ]),
    ...backends.map((backend) => [`backend ${backend.name}`, backendSentence(backend)] as const),
    ...backends.flatMap(waitingStatements),
    ...conditions,
  ]);
}

/** Sentences that are new or say another thing, then what is over; in a stable order. */
export function changesBetween(before: Statements, now: Statements): readonly string[] {
  const said = [...now].flatMap(([about, sentence]) => (before.get(about) === sentence ? [] : [sentence]));
  const over = [...before].flatMap(([about, sentence]) => (now.has(about) ? [] : [`over: ${sentence}`]));
  return [...said, ...over];
}

function shareSentence(share: ShareStatus): string {
  const { name, last_error: error } = share;
  return [
    `share ${name}: ${shareWords(share).text}`,
    ...(share.tb_recovery_pending ? [`Thunderbolt is back, type: switch ${name} to Thunderbolt`] : []),
    ...(error === null ? [] : [`last error: ${error}`]),
  ].join("; ");
}

function backendSentence(backend: BackendStatus): string {
  const { name, enabled, phase, reason, last_error: error } = backend;
  const why = phase === "Ready" || !enabled ? null : (reason ?? error);
  return [
    `backend ${name}: ${backendWords(backend).text}`,
    ...(enabled && phase === "Ready" ? [publishedText(backend)] : []),
    ...(why === null ? [] : [why]),
  ].join(", ");
}

/** Without its figures, which move by themselves. */
function waitingStatements({ name, waiting_calls: waiting }: BackendStatus): readonly [string, string][] {
  if (waiting === undefined) return [];
  return [[`waiting ${name}`, `note: ${name}: a call has waited for its answer for over 10 s`]];
}

function conditionStatement(
  subject: string | null,
  { code, severity, title, hint }: Condition,
): readonly [string, string] {
  const whose = subject === null ? "" : `${subject}: `;
  return [
    `condition ${subject ?? ""} ${code}`,
    `${severity}: ${whose}${title}${hint === null ? "" : `; ${hint}`}`,
  ];
}
