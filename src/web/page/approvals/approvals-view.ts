// Approvals: entries of the configuration, and changed tools. A question approves exactly the digest that it shows; if the
// entry changes while the question is open, it can only be cancelled.
import { type ComponentChild, h } from "preact";
import type { WaitingEntryWire } from "../../../api/contract/approvals.ts";
import { displayName, type ToolChange } from "../../../api/contract/tool-changes.ts";
import { diffText } from "../../../config/history/text-diff.ts";
import type { PageState } from "../daemon/live.ts";
import { useStore } from "../daemon/store.ts";
import type { App, ViewProps } from "../parts/app.ts";
import {
  diffBlock,
  faultList,
  line,
  loading,
  mark,
  nothing,
  row,
  section,
  WorkButton,
} from "../parts/elements.ts";
import { LockedLine, useMayRunCommands } from "../parts/owner-lock.ts";
import { shown } from "../parts/text.ts";
import { useHasGateway, useLoaded } from "../parts/use-loaded.ts";

const KINDS: Readonly<Record<string, string>> = {
  runs: "decides what runs",
  approval: "loosens approval",
  sends: "decides where credentials go",
  access: "decides who may do what",
  guards: "loosens a guard",
};

export function ApprovalsView({ app }: ViewProps): ComponentChild {
  const approvals = useStore(app.store, (state) => state.approvals);
  const mayApprove = useMayRunCommands(app);
  if (approvals === null) return loading();
  const { waiting, mode, asked, lost } = approvals;
  return h(
    "div",
    {},
    line("problem", lost),
    section(
      "Configuration",
      h(
        "p",
        { class: "facts" },
        mode === "none"
          ? "File changes apply at once."
          : `Changes from outside that decide ${mode === "commands" ? "what runs" : "anything that matters"} wait here (approve = "${mode}").`,
        asked !== null && asked !== mode ? ` The file asks for "${asked}".` : "",
      ),
      waiting.length === 0
        ? nothing("No entry waits.")
        : [
            h(LockedLine, { key: "lock", app, what: "approve" }),
            waiting.map((entry) => waitingEntry(app, entry, mayApprove)),
          ],
    ),
    h(ToolApprovals, { app, mayApprove }),
  );
}

function waitingEntry(app: App, entry: WaitingEntryWire, mayApprove: boolean): ComponentChild {
  return h(
    "article",
    { key: entry.id, class: "card warning", "aria-label": `Waiting: ${shown(entry.id)}` },
    h("header", {}, h("h3", {}, shown(entry.id)), mark("warning", KINDS[entry.kind] ?? entry.kind)),
    h("p", {}, shown(entry.summary)),
    entryDiff(entry),
    approveButton(shown(entry.id), mayApprove, () => approveEntry(app, entry)),
  );
}

function approveButton(what: string, mayApprove: boolean, run: () => Promise<void>): ComponentChild {
  const about = { label: "Approve …", accessibleName: `Approve ${what}`, kind: "main" } as const;
  return row(h(WorkButton, { ...about, off: !mayApprove, run }));
}

/** The difference of an entry, uncut, because the approval holds for the whole entry. */
function entryDiff({ id, approved, waiting }: WaitingEntryWire): ComponentChild {
  const labels = { before: "as it serves", after: "as the file has it" };
  return change(approved, waiting, labels, `What changes in ${shown(id)}`);
}

function change(
  before: string | null,
  after: string | null,
  labels: { readonly before: string; readonly after: string },
  title: string,
): ComponentChild {
  return diffBlock(diffText(withLineEnd(before), withLineEnd(after), labels), title);
}

function withLineEnd(text: string | null): string {
  return text === null || text === "" || text.endsWith("\n") ? (text ?? "") : `${text}\n`;
}

async function approveEntry(app: App, entry: WaitingEntryWire): Promise<void> {
  const { id, digest } = entry;
  const yes = await app.confirm({
    title: `Approve ${shown(id)}?`,
    body: [h("p", { key: "summary" }, shown(entry.summary)), h("div", { key: "diff" }, entryDiff(entry))],
    action: "Approve this",
    outdated: (state) => whyOutdated(state, entry),
  });
  if (!yes) return;
  await app.attempt(`Approve ${id}`, async () => {
    const { approved, reload } = await app.requests.call("approve", { entries: [{ id, digest }] });
    app.notify(
      "good",
      `Approved: ${approved.join(", ") || id}${reload === null ? "" : ` (${reload.summary})`}`,
    );
    app.refresh();
  });
}

function whyOutdated({ approvals }: PageState, { id, digest }: WaitingEntryWire): string | null {
  const now = approvals?.waiting.find((entry) => entry.id === id);
  if (now === undefined) return "It no longer waits.";
  return now.digest === digest
    ? null
    : "The file has changed: the pending changes differ from those shown here. Close this, and read it again.";
}

// The part of the view for tools, prompts and resources that differ from their approved state.

const MOST_SHOWN = 100;

function ToolApprovals({ app, mayApprove }: ViewProps & { readonly mayApprove: boolean }): ComponentChild {
  const version = useStore(app.store, (state) => state.catalogVersion);
  const hasGateway = useHasGateway(app);
  const load = async (signal: AbortSignal) =>
    hasGateway ? app.requests.call("toolChanges", {}, { signal }) : null;
  const { report, reload } = useLoaded(load, `${hasGateway} ${version}`);
  if (report === null) return null;
  const { changes, unseen, lost } = report;
  return section(
    "Tools",
    line("problem", lost),
    changes.length === 0
      ? nothing("No tool has changed since it was first seen.")
      : changes.slice(0, MOST_SHOWN).map((each) => {
          return changedTool(each, mayApprove, () => approveTool(app, each, reload));
        }),
    line("hint", changes.length > MOST_SHOWN ? `${changes.length - MOST_SHOWN} more` : null),
    faultList(
      unseen.slice(0, MOST_SHOWN).map(({ backend, kind, entry, faults }) => ({
        tone: "warning",
        text: `${kind} ${entry} of ${backend}: ${faults.join("; ")}`,
      })),
    ),
  );
}

function changedTool(changed: ToolChange, mayApprove: boolean, approve: () => Promise<void>): ComponentChild {
  const { backend, kind, what = "tool", tool, withheld } = changed;
  const about = `${shown(what)} ${shown(tool)}`;
  return h(
    "article",
    { key: `${backend} ${about}`, class: "card warning", "aria-label": `Changed ${about}` },
    h(
      "header",
      {},
      h("h3", {}, shown(displayName(changed))),
      h("span", { class: "dim" }, `of ${shown(backend)}`),
      mark("warning", kind === "new" ? "new" : "changed"),
      withheld ? mark("warning", "withheld") : mark("plain", "in use"),
    ),
    changeText(changed),
    approveButton(about, mayApprove && changed.members !== null, approve),
  );
}

function changeText({ members, before_known: beforeKnown }: ToolChange): ComponentChild {
  if (members === null)
    return h(
      "p",
      { class: "hint" },
      "There are too many changes to show this one: in a terminal, mountaineer tools diff shows it.",
    );
  return h(
    "div",
    { class: "form" },
    beforeKnown
      ? null
      : h("p", { class: "hint" }, "The approved text is unknown: it was too long to be stored."),
    members.map(({ member, before, after }) => {
      const labels = { before: `${member}, as approved`, after: `${member}, as it is now` };
      return h("div", { key: member }, change(before, after, labels, `Change of ${shown(member)}`));
    }),
  );
}

async function approveTool(app: App, changed: ToolChange, onDone: () => Promise<unknown>): Promise<void> {
  const { backend, tool, digest } = changed;
  const name = displayName(changed);
  const yes = await app.confirm({
    title: `Approve ${shown(name)} of ${shown(backend)}?`,
    body: changeText(changed),
    action: "Approve this",
  });
  if (!yes) return;
  await app.attempt(`Approve ${name}`, async () => {
    const { approved } = await app.requests.call("approveTools", { items: [{ backend, tool, digest }] });
    if (approved.length === 1) app.notify("good", `Approved: ${name}`);
    else app.notify("bad", `${name} has changed since it was shown. It was not approved; read it again.`);
    await onDone();
  });
}
