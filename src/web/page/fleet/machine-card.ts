// One machine of the fleet: how it is, what is wrong there, and what it tells of itself.
import { type ComponentChild, h } from "preact";
import type { FleetMachine } from "../../../api/fleet-contract.ts";
import {
  cutText,
  type MachineLine,
  machineLines,
  machineTrouble,
  presenceWords,
} from "../../../api/words/fleet-words.ts";
import { mark } from "../parts/elements.ts";
import { shown } from "../parts/text.ts";

/** Titles of what a machine tells, in this order. */
const GROUPS = [
  ["config", "Configuration"],
  ["share", "Shares"],
  ["backend", "Servers"],
] as const;

export function MachineCard({ machine }: { readonly machine: FleetMachine }): ComponentChild {
  const { own, state } = machine;
  const name = shown(machine.name);
  const presence = presenceWords(machine);
  const lines = machineLines(machine);
  const more = cutText(machine);
  return h(
    "article",
    { class: `card ${machineTrouble(machine)?.tone ?? presence.tone}`, "aria-label": `Machine ${name}` },
    h(
      "header",
      {},
      h("h2", {}, name),
      own ? h("span", { class: "dim" }, "this machine") : null,
      mark(presence.tone, presence.text),
      state === null ? null : h("span", { class: "dim" }, shown(`Mountaineer ${state.version}`)),
    ),
    wrongList(lines.filter(({ about }) => about === "wrong")),
    GROUPS.map(([about, title]) =>
      told(
        title,
        lines.filter((line) => line.about === about),
      ),
    ),
    state !== null && lines.length === 0 ? h("p", { class: "dim" }, "No shares and no servers.") : null,
    more === null ? null : h("p", { class: "dim" }, more),
  );
}

function wrongList(lines: readonly MachineLine[]): ComponentChild | null {
  if (lines.length === 0) return null;
  return h(
    "ul",
    { class: "conditions", "aria-label": "What is wrong" },
    lines.map(({ text, tone }, index) =>
      h(
        "li",
        { key: index, class: tone },
        h("strong", {}, tone === "bad" ? "error: " : "warning: "),
        shown(text),
      ),
    ),
  );
}

function told(title: string, lines: readonly MachineLine[]): ComponentChild | null {
  if (lines.length === 0) return null;
  return [
    h("h3", { key: `${title} title` }, `${title} (${lines.length})`),
    h(
      "ul",
      { key: title, class: "plain-list told", "aria-label": title },
      lines.map(({ name, text, reason, tone }, index) =>
        h(
          "li",
          { key: index },
          h("strong", {}, shown(name ?? "")),
          mark(tone, text),
          reason === null ? null : h("span", { class: "facts" }, shown(reason)),
        ),
      ),
    ),
  ];
}
