// What waits for a person: entries of the configuration, and tools that are not as they were approved. Each question is
// about exactly what it shows: when that changes while the question is open, it can no longer be answered with yes.
import { type ComponentChild, h } from "preact";
import type { WaitingEntryWire } from "../../../api/approval-contract.ts";
import { type ToolChange, toldName } from "../../../api/tool-changes-contract.ts";
import { diffText } from "../../../config/history/text-diff.ts";
import type { PageState } from "../daemon/live.ts";
import { useStore } from "../daemon/store.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { CommandsNote, useMayRunCommands } from "../parts/commands-note.ts";
import { diffBlock, mark, nothing, section, WorkButton } from "../parts/elements.ts";
import { shown } from "../parts/text.ts";
import { useLoaded } from "../parts/use-loaded.ts";

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
  if (approvals === null) return nothing("Asking the daemon …");
  const { waiting, mode, asked, lost } = approvals;
  return h(
    "div",
    {},
    h(CommandsNote, {
      app,
      refused: "You can read what waits, and not approve it,",
    }),
    lost === null ? null : h("p", { class: "problem" }, shown(lost)),
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
        : waiting.map((entry) => h(WaitingEntry, { key: entry.id, app, entry, mayApprove })),
    ),
    h(ToolApprovals, { app, mayApprove }),
  );
}

interface WaitingEntryProps {
  readonly app: App;
  readonly entry: WaitingEntryWire;
  readonly mayApprove: boolean;
}

function WaitingEntry({ app, entry, mayApprove }: WaitingEntryProps): ComponentChild {
  return h(
    "article",
    { class: "card warning", "aria-label": `Waiting: ${shown(entry.id)}` },
    h("header", {}, h("h3", {}, shown(entry.id)), mark("warning", KINDS[entry.kind] ?? entry.kind)),
    h("p", {}, shown(entry.summary)),
    entryDiff(entry),
    h(
      "div",
      { class: "row" },
      h(WorkButton, {
        label: "Approve …",
        says: `Approve ${shown(entry.id)}`,
        kind: "main",
        off: !mayApprove,
        run: () => approveEntry(app, entry),
      }),
    ),
  );
}

/** All of it, however long: what is not shown is not approved. */
function entryDiff({ id, approved, waiting }: WaitingEntryWire): ComponentChild {
  const diff = diffText(withLineEnd(approved), withLineEnd(waiting), {
    before: "as it serves",
    after: "as the file has it",
  });
  return diffBlock(diff, `What changes in ${shown(id)}`);
}

function withLineEnd(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}

async function approveEntry(app: App, entry: WaitingEntryWire): Promise<void> {
  const { id, digest } = entry;
  const yes = await app.ask({
    title: `Approve ${shown(id)}?`,
    body: [h("p", { key: "summary" }, shown(entry.summary)), h("div", { key: "diff" }, entryDiff(entry))],
    action: "Approve this",
    outdated: (state) => whyOutdated(state, entry),
  });
  if (!yes) return;
  await app.attempt(`Approve ${id}`, async () => {
    const { approved, reload } = await app.requests.ask("approve", { entries: [{ id, digest }] });
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
    : "The file has changed: something else waits now than is shown here. Close this, and read it again.";
}

// What is not as it was approved of what servers show, each with its change.

const MOST_SHOWN = 100;

interface ToolApprovalsProps {
  readonly app: App;
  readonly mayApprove: boolean;
}

function ToolApprovals({ app, mayApprove }: ToolApprovalsProps): ComponentChild {
  const version = useStore(app.store, (state) => state.catalogVersion);
  const { report, look } = useLoaded((signal) => app.requests.ask("toolChanges", {}, { signal }), version);
  // Without a gateway there are no tools.
  if (report === null) return null;
  const { changes, unseen, lost } = report;
  return section(
    "Tools",
    lost === null ? null : h("p", { class: "problem" }, shown(lost)),
    changes.length === 0
      ? nothing("All that servers show is as it was approved.")
      : changes.slice(0, MOST_SHOWN).map((change) =>
          h(ChangedTool, {
            key: JSON.stringify([change.backend, change.what, change.tool]),
            app,
            change,
            mayApprove,
            onDone: look,
          }),
        ),
    changes.length > MOST_SHOWN ? h("p", { class: "hint" }, `${changes.length - MOST_SHOWN} more`) : null,
    unseen.length === 0
      ? null
      : h(
          "ul",
          { class: "conditions" },
          unseen
            .slice(0, MOST_SHOWN)
            .map(({ backend, kind, entry, faults }) =>
              h(
                "li",
                { key: `${backend} ${kind} ${entry}`, class: "warning" },
                `${shown(kind)} ${shown(entry)} of ${shown(backend)}: ${faults.map(shown).join("; ")}`,
              ),
            ),
        ),
  );
}

interface ChangedToolProps extends ToolApprovalsProps {
  readonly change: ToolChange;
  readonly onDone: () => Promise<unknown>;
}

function ChangedTool({ app, change, mayApprove, onDone }: ChangedToolProps): ComponentChild {
  const { backend, kind, withheld } = change;
  const name = toldName(change);
  return h(
    "article",
    { class: "card warning", "aria-label": `Changed ${shown(whatOf(change))} ${shown(change.tool)}` },
    h(
      "header",
      {},
      h("h3", {}, shown(name)),
      h("span", { class: "dim" }, `of ${shown(backend)}`),
      mark("warning", kind === "new" ? "new" : "changed"),
      withheld ? mark("warning", "withheld") : mark("plain", "in use"),
    ),
    changeText(change),
    h(
      "div",
      { class: "row" },
      h(WorkButton, {
        label: "Approve …",
        says: `Approve ${shown(whatOf(change))} ${shown(change.tool)}`,
        kind: "main",
        off: !mayApprove || change.members === null,
        run: () => approveTool(app, change, onDone),
      }),
    ),
  );
}

function whatOf({ what = "tool" }: ToolChange): string {
  return what;
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
      : h("p", { class: "hint" }, "What it was before is not known: it was too long to be kept."),
    members.map(({ member, before, after }) =>
      h(
        "div",
        { key: member },
        diffBlock(
          diffText(lineEnded(before), lineEnded(after), {
            before: `${member}, as approved`,
            after: `${member}, as it is now`,
          }),
          `Change of ${shown(member)}`,
        ),
      ),
    ),
  );
}

function lineEnded(text: string | null): string {
  return text === null || text === "" ? "" : `${text}\n`;
}

async function approveTool(app: App, change: ToolChange, onDone: () => Promise<unknown>): Promise<void> {
  const { backend, tool, digest } = change;
  const name = toldName(change);
  const yes = await app.ask({
    title: `Approve ${shown(name)} of ${shown(backend)}?`,
    body: changeText(change),
    action: "Approve this",
  });
  if (!yes) return;
  await app.attempt(`Approve ${name}`, async () => {
    const { approved } = await app.requests.ask("approveTools", { items: [{ backend, tool, digest }] });
    if (approved.length === 1) app.notify("good", `Approved: ${name}`);
    else app.notify("bad", `${name} is another by now than was shown. It was not approved; read it again.`);
    await onDone();
  });
}
