// What a person may do with servers and by which rule, which opens in the editor; servers with equal rights share rows.
import { type ComponentChild, h } from "preact";
import type { Person } from "../../../api/contract/people.ts";
import { accessGroups, serverAccessText } from "../../../api/labels/people-labels.ts";
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
  const rows = accessGroups(person.servers).map(({ how, rule, what, group }) => {
    const first = firstNames(group, ({ backend }) => backend, 3);
    const names = shown(group.length === 1 ? first : `${group.length} servers: ${first}`);
    const lineOf = ({ backend, entries }: Person["servers"][number]): ComponentChild =>
      h("li", { key: backend }, shown(`${backend}: ${serverAccessText(entries).join("; ")}`));
    return {
      key: JSON.stringify([names, how, rule]),
      cells: [names, how, shown(what), link(rule)],
      accessibleName: `${names}: ${how === "" ? what : `${how} by ${shown(rule)}`}`,
      ...(group.length > 1 || what.endsWith(" more")
        ? { card: () => plainList("By server", group.map(lineOf)) }
        : {}),
    };
  });
  const label = `What ${shown(person.name)} may do`;
  return h(Table, { label, titles: ["Server", "May", "What", "By"], rows });
}
