// What a person may do with each server and by which rule, which opens in the editor.
import { type ComponentChild, h } from "preact";
import type { Person } from "../../../api/contract/people.ts";
import { accessRows } from "../../../api/labels/people-labels.ts";
import { lineOfRule, WANTED } from "../config/editor-memory.ts";
import type { ViewProps } from "../parts/app.ts";
import { useConfigFile } from "../parts/config-file.ts";
import { Table } from "../parts/table.ts";
import { shown } from "../parts/text.ts";

export function RightsTable({ app, person }: ViewProps & { readonly person: Person }): ComponentChild {
  const { report: file } = useConfigFile(app);
  const link = (rule: string): ComponentChild => {
    if (rule === "" || file === null || lineOfRule(file.text, rule) === null) return shown(rule);
    const onClick = (): void =>
      WANTED.storeOf(app.requests, "", () => ({ server: null })).set({ server: null, rule });
    return h("a", { href: "#/settings/configuration", onClick }, shown(rule));
  };
  const rows = person.servers.flatMap(({ backend, entries }) =>
    accessRows(entries).map(({ how, rule, what }) => ({
      key: JSON.stringify([backend, how, rule]),
      cells: [shown(backend), how, shown(what), link(rule)],
    })),
  );
  const label = `What ${shown(person.name)} may do`;
  return h(Table, { label, titles: ["Server", "May", "What", "By"], rows });
}
