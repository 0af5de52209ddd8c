// What waits for a person: entries of the configuration, and tools that are not as they were approved. Each question is
// about exactly what it shows: when that changes while the question is open, it can no longer be answered with yes.
import { type ComponentChild, h } from "preact";
import type { WaitingEntryWire } from "../../../api/approval-contract.ts";
import { diffText } from "../../../config/history/text-diff.ts";
import type { PageState } from "../daemon/live.ts";
import { useStore } from "../daemon/store.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { CommandsNote, useMayRunCommands } from "../parts/commands-note.ts";
import { diffBlock, mark, nothing, section, WorkButton } from "../parts/elements.ts";
import { shown } from "../parts/text.ts";
import { ToolApprovals } from "./tool-approvals.ts";

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
    app.tell(
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
