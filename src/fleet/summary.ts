// The summary that each machine publishes: its status, shortened to a limited size. A received summary is untrusted.
import type { StatusReport } from "../api/contract/contract.ts";
import { type MachineState, machineStateShape } from "../api/contract/fleet.ts";
import { backendLabel } from "../api/labels/backend-labels.ts";
import { wholeText } from "../api/labels/label.ts";
import { shareLabel } from "../api/labels/share-labels.ts";
import { choice, object, type TypeOf, text } from "../runtime/shape.ts";
import { stripInvisible } from "../runtime/text/invisible-characters.ts";
import { jsonObject } from "../runtime/text/json-object.ts";

export const SUMMARY_LIMIT_BYTES = 64 * 1024;
/** Maximum size of each of the three lists in a summary, bytes. It leaves room for the other members. */
const LIST_LIMIT_BYTES = 20 * 1024;
const LONGEST_NAME = 128;
const LONGEST_WORD = 64;
const LONGEST_TEXT = 240;

export interface Summary {
  readonly name: string;
  /**
   * The id of the machine's process. Another id under the same name means a restart, or a second machine of
   * that name.
   */
  readonly instance: string;
  /** `here`: the machine serves; `gone`: it stopped in order. */
  readonly word: "here" | "gone";
  readonly state: MachineState;
}

/** The state that a summary shows for a status. */
export function stateOf({ global, shares, backends = [] }: StatusReport): MachineState {
  const named = [...shares, ...backends].flatMap(({ name, conditions }) =>
    conditions.map((condition) => ({
      ...condition,
      title: wholeText({ about: name, text: condition.title }),
    })),
  );
  const state = cleanState({
    version: global.version,
    shares: shares.map((share) => ({
      name: share.name,
      phase: share.mount_state,
      route: share.active_interface,
      reason: share.last_error,
      words: shareLabel(share),
    })),
    backends: backends
      .filter(({ enabled }) => enabled)
      .map((backend) => ({ ...backend, words: backendLabel(backend) })),
    conditions: [...global.conditions, ...named].filter(({ severity }) => severity !== "info"),
    cut: 0,
  });
  const lists = [fitting(state.shares), fitting(state.backends), fitting(state.conditions)] as const;
  const cut = lists.reduce((sum, list) => sum + list.cut, 0);
  return { ...state, shares: lists[0].fitted, backends: lists[1].fitted, conditions: lists[2].fitted, cut };
}

/** The members of a state that this version knows, with cleaned and shortened texts. */
function cleanState({ version, shares, backends, conditions, cut }: MachineState): MachineState {
  const common = ({
    name,
    phase,
    reason,
    words,
  }: MachineState["backends"][number] | MachineState["shares"][number]) => ({
    name: clean(name, LONGEST_NAME),
    phase: clean(phase, LONGEST_WORD),
    reason: reason === null ? null : clean(reason, LONGEST_TEXT),
    words: { text: clean(words.text, LONGEST_TEXT), tone: words.tone },
  });
  return {
    version: clean(version, LONGEST_WORD),
    shares: shares.map((share) => ({ ...common(share), route: clean(share.route, LONGEST_WORD) })),
    backends: backends.map((backend) => ({ ...common(backend), tools: backend.tools })),
    conditions: conditions.map(({ code, severity, title }) => ({
      code: clean(code, LONGEST_NAME),
      severity,
      title: clean(title, LONGEST_TEXT),
    })),
    cut,
  };
}

/** The first entries of a list that fit the limit. */
function fitting<T>(entries: readonly T[]): { fitted: T[]; cut: number } {
  let bytes = 0;
  const fitted: T[] = [];
  for (const entry of entries) {
    bytes += Buffer.byteLength(JSON.stringify(entry)) + 1;
    if (bytes > LIST_LIMIT_BYTES) break;
    fitted.push(entry);
  }
  return { fitted, cut: entries.length - fitted.length };
}

export function summaryText({ name, instance, word, state }: Summary): string {
  return JSON.stringify({ format: 1, name, instance, word, ...state });
}

const summaryShape = object({
  name: text,
  instance: text,
  word: choice("here", "gone"),
  ...machineStateShape.fields,
});

type Reading =
  | { readonly ok: true; readonly summary: Summary }
  | { readonly ok: false; readonly problem: string };

/**
 * Parses an entry of the bucket in which the fleet's machines publish their summaries; `key` is the entry's key.
 * Unknown members are left out.
 */
export function readSummary(key: string, bytes: Uint8Array): Reading {
  const unreadable = (problem: string): Reading => ({ ok: false, problem });
  if (bytes.length > SUMMARY_LIMIT_BYTES) return unreadable(`it is too long: ${bytes.length} bytes`);
  const value = jsonObject(new TextDecoder().decode(bytes));
  if (value === null) return unreadable("it is not a JSON object");
  if (value["format"] !== 1)
    return unreadable("its format is not known; a newer version may have written it");
  const fault = summaryShape.faultIn(value);
  if (fault !== null) return unreadable(`${clean(fault.path, LONGEST_NAME)} is not ${fault.expected}`);
  // The shape has just been checked.
  const found = value as TypeOf<typeof summaryShape>;
  const name = clean(found.name, LONGEST_NAME);
  if (found.name !== key) return unreadable(`it says that it is of ${JSON.stringify(name)}`);
  const { word } = found;
  const state = cleanState(found);
  return { ok: true, summary: { name, instance: clean(found.instance, LONGEST_WORD), word, state } };
}

/** The text without control and invisible characters, cut to `most` characters. */
function clean(text: string, most: number): string {
  const visible = stripInvisible(text.slice(0, most * 4))
    .replace(CONTROLS, " ")
    .trim();
  const characters = [...visible];
  return characters.length <= most ? visible : `${characters.slice(0, most - 1).join("")}…`;
}

const CONTROLS = /[\p{Cc}\p{Cs}\u2028\u2029]/gu;
