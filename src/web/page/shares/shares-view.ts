// All shares as rows that open into panels.
import { type ComponentChild, h } from "preact";
import type { GlobalStatus, ShareStatus } from "../../../api/contract/contract.ts";
import type { NumbersReport } from "../../../api/contract/numbers.ts";
import { worstFirst } from "../../../api/labels/label.ts";
import { shareLabel } from "../../../api/labels/share-labels.ts";
import { linkText } from "../../../api/labels/traffic-labels.ts";
import { bytesText } from "../../../runtime/text/plain-text.ts";
import { useNow, useStore } from "../daemon/store.ts";
import type { ViewProps } from "../parts/app.ts";
import { loading, nothing, stateAndCause } from "../parts/elements.ts";
import { later } from "../parts/later.ts";
import { useOpened } from "../parts/opened.ts";
import { Table, type TableRow } from "../parts/table.ts";
import { shown } from "../parts/text.ts";
import { Strip, useNumbers } from "../plots/strip.ts";

const SharePanel = later(async () => (await import("./share-panel.ts")).SharePanel);

const TITLES = ["Share", "State", "Cable in use", "Read, written, last hour", "Last 24 h", "Free"];

export function SharesView({ app }: ViewProps): ComponentChild {
  const status = useStore(app.store, (state) => state.status);
  const now = useNow();
  const opened = useOpened("shares", status?.shares ?? []);
  const numbers = useNumbers(app);
  if (status === null) return loading();
  const { shares, global } = status;
  if (shares.length === 0)
    return nothing(
      "No share is configured.",
      h("p", {}, h("a", { href: "#/shares/add" }, "Add a share"), "."),
    );
  return h(Table, {
    ...{ label: "Shares", titles: TITLES, opened: [opened.open, opened.put] },
    rows: worstFirst(shares, (share) => shareLabel(share).tone).map((share) =>
      shareRow({ app, share, global, now, isOpen: opened.open === share.name, numbers }),
    ),
  });
}

interface ShareRowProps extends ViewProps {
  readonly share: ShareStatus;
  readonly global: GlobalStatus;
  readonly now: number;
  readonly isOpen: boolean;
  readonly numbers: NumbersReport | null;
}

function shareRow({ app, share, global, now, isOpen, numbers }: ShareRowProps): TableRow {
  const { name } = share;
  const { text, tone, why } = shareLabel(share);
  const own = numbers?.shares.find((each) => each.name === name);
  return {
    key: name,
    cells: [
      shown(name),
      stateAndCause(tone, text, isOpen ? null : why),
      shown(linkText(share) ?? ""),
      own !== undefined && trafficText(own),
      own !== undefined && numbers !== null && h(Strip, { name, day: own.day, to: numbers.to }),
      share.space !== undefined && bytesText(share.space.free_bytes),
    ],
    card: () => h(SharePanel, { app, share, global, now }),
  };
}

function trafficText({ read_mb_s: read, written_mb_s: written }: NumbersReport["shares"][number]): string {
  const rate = (value: number): string => (value >= 10 ? String(Math.round(value)) : value.toFixed(1));
  return `${rate(read)} and ${rate(written)} MB/s`;
}
