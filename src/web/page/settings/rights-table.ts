// What a person may do with servers and by which rule, which opens in the editor; servers with equal rights share rows.
import { type ComponentChild, h } from "preact";
import type { Person } from "../../../api/contract/people.ts";
import { accessGroups } from "../../../api/labels/people-labels.ts";
import { firstNames } from "../../../runtime/text/plain-text.ts";
import { lineOfRule, WANTED } from "../config/editor-memory.ts";
import type { ViewProps } from "../parts/app.ts";
import { useConfigFile } from "../parts/config-file.ts";
import { plainList } from "../parts/elements.ts";
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
  const rows = accessGroups(person.servers).map(({ how, rule, what, each }) => {
    const name = firstNames(each, ({ backend }) => backend, 3);
    const ofEach = each.map((own) => h("li", { key: own.backend }, shown(`${own.backend}: ${own.what}`)));
    return {
      key: JSON.stringify([name, how, rule]),
      cells: [
        shown(each.length === 1 ? name : `${each.length} servers: ${name}`),
        how,
        shown(what),
        link(rule),
      ],
      ...(each.length > 1 || what !== each[0]?.what
        ? { card: () => plainList(`${how || what}, by server`, ofEach) }
        : {}),
    };
  });
  const label = `What ${shown(person.name)} may do`;
  return h(Table, { label, titles: ["Server", "May", "What", "By"], rows });
}
