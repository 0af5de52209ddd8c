// Imports MCP servers from a client's files, or from pasted JSON, after showing all that would run. The daemon reads and judges;
// the page receives no value of a secret.
import { type ComponentChild, h } from "preact";
import { useRef } from "preact/hooks";
import { sentence } from "../../../api/labels/actions.ts";
import { editOutcome } from "../../../api/labels/outcome-labels.ts";
import type { ImportRequest, ServerImport } from "../../../api/setup/server-import.ts";
import { pluralize } from "../../../runtime/text/plain-text.ts";
import type { App, ViewProps } from "../parts/app.ts";
import {
  code,
  details,
  diffBlock,
  line,
  nothing,
  plainList,
  row,
  section,
  WorkButton,
} from "../parts/elements.ts";
import { Lockable, lockedPrograms, useMayRunCommands } from "../parts/owner-lock.ts";
import { shown } from "../parts/text.ts";
import { useLoaded } from "../parts/use-loaded.ts";

const FROM_PROGRAM = "From a client of this machine";

type Source = Pick<ImportRequest, "client" | "text">;

export function ImportServers({ app }: ViewProps): ComponentChild {
  const may = useMayRunCommands(app);
  return h(
    "section",
    { "aria-label": "Import servers" },
    h(
      Lockable,
      { app, what: "import servers" },
      may ? h(FoundClients, { app }) : section(FROM_PROGRAM, lockedPrograms("Import …")),
      h(Pasted, { app }),
    ),
  );
}

function FoundClients({ app }: ViewProps): ComponentChild {
  const { report, problem } = useLoaded(() => app.requests.call("knownClients"), "");
  return section(
    FROM_PROGRAM,
    report === null
      ? line("dim", problem ?? "Looking …")
      : report.clients.length === 0
        ? nothing("No client has a file here: Claude, Cursor, VS Code and others were looked for.")
        : plainList(
            "Programs",
            report.clients.map(({ name, title, path }) =>
              h(
                "li",
                { key: name, class: "row" },
                h("strong", {}, shown(title)),
                h("span", { class: "grow" }, code(path)),
                h(WorkButton, {
                  label: "Import …",
                  accessibleName: `Import from ${shown(title)}`,
                  run: () => importFrom(app, { client: name, text: null }),
                }),
              ),
            ),
          ),
  );
}

function Pasted({ app }: ViewProps): ComponentChild {
  // Uncontrolled, so that only the browser's own field holds the text, which may have secrets.
  const field = useRef<HTMLTextAreaElement>(null);
  const run = async (): Promise<void> => {
    const text = field.current?.value ?? "";
    if ((await importFrom(app, { client: null, text })) && field.current !== null) field.current.value = "";
  };
  return section(
    "From text",
    h(
      "div",
      { class: "card plain form" },
      h(
        "div",
        { class: "field" },
        h("label", { for: "pasted" }, "JSON from a guide, or from another program's file"),
        h("textarea", { ...{ id: "pasted", ref: field, rows: 10, spellcheck: false, autocomplete: "off" } }),
        h("p", { class: "hint" }, "Secrets in it are stored apart from the configuration."),
      ),
      row(h(WorkButton, { label: "Show what runs …", kind: "main", run })),
    ),
  );
}

/** Shows the import, and after a confirmation makes exactly this one. Resolves with true if it was made. */
async function importFrom(app: App, source: Source): Promise<boolean> {
  let isDone = false;
  await app.attempt("Import", async () => {
    const plan = await app.requests.call("importServers", { ...source, agreed: null });
    const count = plan.servers.length;
    if (count === 0) {
      app.notify("plain", sentence(nothingNew(plan)));
      return;
    }
    const yes = await app.confirm({
      title: count === 1 ? "Import this server?" : `Import these ${count} servers?`,
      body: whatIsImported(plan),
      action: count === 1 ? "Import it" : `Import these ${count}`,
    });
    if (!yes) return;
    const { saved } = await app.requests.call("importServers", { ...source, agreed: plan.digest });
    if (saved === null) return;
    isDone = true;
    const { tone, text } = editOutcome(saved);
    app.notify(tone, `${pluralize(count, "server")} imported. ${sentence(text)}`, () =>
      undo(app, saved.sha256),
    );
    app.refresh();
    location.hash = "#/servers";
  });
  return isDone;
}

/** Goes back to the content before the import, as `mountaineer config rollback` does. */
function undo(app: App, imported: string): Promise<boolean> {
  return app.attempt("Undo the import", async () => {
    const report = await app.requests.call("rollback", { n: 1, expected_sha256: imported });
    const { tone, text } = editOutcome(report);
    app.notify(tone, sentence(text));
    app.refresh();
  });
}

function nothingNew({ present, refused }: ServerImport): string {
  const parts = [
    ...refused.map(({ name, why }) => `${name} is not imported: ${why}`),
    ...(present.length > 0 ? [`there already: ${present.join(", ")}`] : []),
  ];
  return parts.length === 0 ? "no MCP servers were found" : parts.join("; ");
}

function whatIsImported(plan: ServerImport): ComponentChild {
  const { servers, refused, present, unsure, of_projects: projects, summary, diff } = plan;
  const ofProjects = projects.flatMap(({ servers: names }) => names);
  return h(
    "div",
    {},
    refused.map(({ name, why }) => line("problem", `${name} is not imported: ${why}`)),
    h("p", { class: "facts" }, shown(summary)),
    servers.some(({ enabled }) => enabled)
      ? h("p", {}, "This runs on the daemon's machine, as its user, or is sent to these addresses:")
      : null,
    plainList("Servers to import", servers.map(importedServer)),
    line("hint", present.length > 0 ? `There already: ${present.join(", ")}` : null),
    line("hint", unsure.length > 0 ? `Their secrets stay as they are stored: ${unsure.join(", ")}` : null),
    line(
      "hint",
      ofProjects.length > 0 ? `They belong to projects and stay there: ${ofProjects.join(", ")}` : null,
    ),
    plan.makes_token
      ? h("p", { class: "hint" }, "With the first server, HTTP clients must send a token, which is made now.")
      : null,
    details("What changes in the configuration", diffBlock(diff, "What changes in the configuration")),
  );
}

function importedServer(server: ServerImport["servers"][number]): ComponentChild {
  const { name, from, enabled, runs, texts, problem, secrets, wanted, remarks } = server;
  const facts = [
    ...(problem === null ? [] : [`disabled: ${problem}`]),
    ...(problem === null && !enabled ? ["disabled, as it is there"] : []),
    ...remarks,
    ...secrets.map((secret) => `a secret of it is stored as secret:${secret}`),
    ...wanted.map((secret) => `it still needs secret:${secret}`),
  ];
  return h(
    "li",
    { key: name },
    h("p", {}, h("strong", {}, shown(name)), h("span", { class: "dim" }, ` from ${shown(from)}`)),
    h("p", { class: "path" }, code(runs)),
    texts.length === 0
      ? null
      : h(
          "ul",
          {},
          texts.map((text) => h("li", { key: text }, code(text))),
        ),
    facts.map((fact) => h("p", { key: fact, class: "hint" }, shown(fact))),
  );
}
