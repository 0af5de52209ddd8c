// Connected clients, and programs of this machine that can be connected.
import { type ComponentChild, h } from "preact";
import { sentence } from "../../../api/labels/actions.ts";
import { CLIENT_TITLES, clientCells } from "../../../api/labels/client-labels.ts";
import type { KnownClients } from "../../../api/setup/client-connection.ts";
import { useNow } from "../daemon/store.ts";
import type { App, ViewProps } from "../parts/app.ts";
import {
  Copyable,
  code,
  diffBlock,
  line,
  loading,
  mark,
  nothing,
  plainList,
  section,
  WorkButton,
} from "../parts/elements.ts";
import { Lockable, lockedPrograms, useMayRunCommands } from "../parts/owner-lock.ts";
import { Table } from "../parts/table.ts";
import { shown } from "../parts/text.ts";
import { useHasGateway, useLoaded } from "../parts/use-loaded.ts";

const AGAIN_MS = 5_000;

export function ClientsView({ app }: ViewProps): ComponentChild {
  const hasGateway = useHasGateway(app);
  const load = async (signal: AbortSignal) =>
    hasGateway ? app.requests.call("clients", null, { signal }) : { clients: [] };
  const { report } = useLoaded(load, hasGateway, AGAIN_MS);
  const now = useNow();
  const may = useMayRunCommands(app);
  if (report === null) return loading();
  const live = report.clients.filter(({ idle }) => idle !== true);
  const rows = live.map((client) => clientCells(client, now));
  const scripting = rows.filter((_, at) => live[at]?.runs_scripts === true);
  return [
    rows.length === 0
      ? nothing("No client is connected.")
      : h(Table, {
          ...{ label: "Clients that are connected", titles: CLIENT_TITLES },
          rows: rows.map((cells, nth) => ({ key: String(nth), cells })),
        }),
    scripting.length === 0
      ? null
      : section(
          "Users who may run scripts",
          plainList(
            "Clients that may run scripts",
            scripting.map(([client, user], nth) => h("li", { key: nth }, `${client}, ${user}`)),
          ),
        ),
    section(
      "Connect a client",
      h(
        Lockable,
        { app, what: "connect programs of this machine" },
        may ? h(Programs, { app }) : lockedPrograms("Connect …"),
      ),
    ),
  ];
}

/** Agent programs of this machine, each with a button that connects or disconnects it. */
function Programs({ app }: ViewProps): ComponentChild {
  const { report, problem, reload } = useLoaded(() => app.requests.call("knownClients"), "");
  if (report === null) return line("dim", problem ?? "Looking …");
  if (report.clients.length === 0)
    return nothing(
      "No client has a file here: Claude, Cursor, VS Code and others were looked for.",
      h("p", {}, "Give any other the command ", h(Copyable, { text: "mountaineer mcp" }), "."),
    );
  return plainList(
    "Programs",
    report.clients.map((program) => h(Program, { key: program.name, app, program, reload })),
  );
}

interface ProgramProps {
  readonly app: App;
  readonly program: KnownClients["clients"][number];
  readonly reload: () => Promise<unknown>;
}

function Program({ app, program, reload }: ProgramProps): ComponentChild {
  const { title, path, connected, problem } = program;
  const label = connected === true ? "Disconnect" : "Connect";
  return h(
    "li",
    { class: "row" },
    h("strong", {}, shown(title)),
    connected === true ? mark("good", "uses this gateway") : null,
    h("span", { class: "grow" }, code(path), line("problem", problem)),
    connected === null
      ? null
      : h(WorkButton, {
          label: `${label} …`,
          accessibleName: `${label}: ${shown(title)}`,
          run: () => connect(app, program, connected, reload),
        }),
  );
}

/** Shows the change of the program's file, and after a confirmation writes exactly this change. */
function connect(
  app: App,
  program: ProgramProps["program"],
  undo: boolean,
  reload: () => Promise<unknown>,
): Promise<boolean> {
  const { name: client, title } = program;
  const what = `${undo ? "Disconnect" : "Connect"} ${shown(title)}`;
  return app.attempt(what, async () => {
    const plan = { client, undo };
    const { digest, diff, notes, path } = await app.requests.call("connectClient", { ...plan, agreed: null });
    if (diff !== "") {
      const yes = await app.confirm({
        title: `${what}?`,
        body: [
          h("p", {}, "This is changed in ", code(path), ":"),
          diffBlock(diff, `What changes in ${shown(path)}`),
          notes.map((remark) => h("p", { key: remark, class: "hint" }, `${shown(sentence(remark))}.`)),
        ],
        action: "Change it",
      });
      if (!yes) return;
    }
    const { next } = await app.requests.call("connectClient", { ...plan, agreed: digest });
    const done = undo ? "is as it was" : "uses this gateway now";
    app.notify("good", `${title} ${done}${next === null ? "" : `; ${next}`}`, () =>
      connect(app, program, !undo, reload),
    );
    await reload();
  });
}
