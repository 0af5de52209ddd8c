// A status as sentences, one for each subject and without figures that change all the time, and what has changed between
// two of them. Each sentence about a problem names the command that helps. Pure.
import { shellCommand } from "../../runtime/text/plain-text.ts";
import type { BackendStatus, Condition, ShareStatus, StatusReport } from "../contract/contract.ts";
import { backendLabel, isAwaitingApproval, publishedText } from "./backend-labels.ts";
import { preferredName, shareLabel } from "./share-labels.ts";

/** Sentences by subject; more than one if a subject has several conditions with the same code. */
export type Statements = ReadonlyMap<string, readonly string[]>;

export function statementsOf({ global, shares, gateway, backends = [] }: StatusReport): Statements {
  const statements: readonly (readonly [string, string])[] = [
    ...shares.map((share) => [`share ${share.name}`, shareSentence(share)] as const),
    ...(gateway === undefined
      ? []
      : [
          [
            "gateway",
            gateway.url === null ? "gateway: not listening" : `gateway: listens at ${gateway.url}`,
          ] as const,
        ]),
    ...backends.map((backend) => [`server ${backend.name}`, backendSentence(backend)] as const),
    ...backends.flatMap(waitingStatements),
    ...global.conditions.map((each) => conditionStatement(null, each)),
    ...(gateway?.conditions ?? []).map((each) => conditionStatement("gateway", each)),
    ...shares.flatMap(({ name, conditions: own }) => own.map((each) => conditionStatement(name, each))),
    ...backends.flatMap(({ name, conditions: own }) => own.map((each) => conditionStatement(name, each))),
  ];
  return new Map(
    [...Map.groupBy(statements, ([about]) => about)].map(([about, all]) => [
      about,
      all.map(([, sentence]) => sentence),
    ]),
  );
}

/** The new and changed sentences, then those that are over, in a stable order. */
export function changesBetween(before: Statements, now: Statements): readonly string[] {
  const changes: string[] = [];
  const over: string[] = [];
  for (const about of new Set([...now.keys(), ...before.keys()])) {
    const was = before.get(about) ?? [];
    const is = now.get(about) ?? [];
    const added = is.filter((sentence) => !was.includes(sentence));
    const removed = was.filter((sentence) => !is.includes(sentence));
    changes.push(...added);
    // A changed sentence counts as added and removed; only removed sentences without a replacement are over.
    over.push(...removed.slice(added.length).map((sentence) => `over: ${sentence}`));
  }
  return [...changes, ...over];
}

function shareSentence(share: ShareStatus): string {
  const { name, last_error: error } = share;
  const command = shareCommand(share);
  return [
    `share ${name}: ${shareLabel(share).text}`,
    ...(error === null ? [] : [`last error: ${error}`]),
    ...(command === null ? [] : [command]),
  ].join("; ");
}

/** What a person may do about the share: the command with its effect; null: nothing. */
function shareCommand(share: ShareStatus) {
  const { name, override, tb_recovery_pending: isReady, last_error: error } = share;
  if (isReady)
    return `${shellCommand`mountaineer switch --share ${name} --to tb`} switches it to ${preferredName(share)}`;
  if (override === "unmounted") return `${shellCommand`mountaineer mount --share ${name}`} mounts it again`;
  if (override === "fallback")
    return `${shellCommand`mountaineer switch --share ${name} --to auto`} goes back to automatic`;
  return error === null ? null : `${shellCommand`mountaineer verify --share ${name}`} says more`;
}

function backendSentence(backend: BackendStatus): string {
  const { name, enabled, phase, reason, last_error: error } = backend;
  const why = phase === "Ready" || !enabled ? null : (reason ?? error);
  const command = isAwaitingApproval(backend)
    ? `${shellCommand`mountaineer approve ${name}`} shows what waits`
    : enabled && (phase === "Failed" || phase === "Degraded")
      ? `${shellCommand`mountaineer backends logs ${name}`} shows what it wrote`
      : null;
  const state = [
    `server ${name}: ${backendLabel(backend).text}`,
    ...(enabled && phase === "Ready" ? [publishedText(backend)] : []),
    ...(why === null ? [] : [why]),
  ].join(", ");
  return command === null ? state : `${state}; ${command}`;
}

/** The statement that a call waits for the backend's answer, without figures, which change all the time. */
function waitingStatements({ name, waiting_calls: waiting }: BackendStatus): readonly [string, string][] {
  if (waiting === undefined) return [];
  const message = `note: ${name}: a call has waited for its answer for over 10 s`;
  const command = shellCommand`mountaineer backends logs ${name}`;
  return [[`waiting ${name}`, `${message}; ${command} shows what it wrote`]];
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
