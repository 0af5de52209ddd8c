// The numbers of one share or server over the last hour, day or week.
import { type ComponentChild, h } from "preact";
import { useMemo, useState } from "preact/hooks";
import { useNow } from "../daemon/store.ts";
import type { ViewProps } from "../parts/app.ts";
import { loading } from "../parts/elements.ts";
import { shown } from "../parts/text.ts";
import { useLoaded } from "../parts/use-loaded.ts";
import { PlotGroup } from "./plot-group.ts";
import { SPANS, type Span } from "./plotted.ts";
import { plottedOf } from "./series-plots.ts";

/** As long as a slot of the hour lasts; those of a day and a week last longer. */
const AGAIN_MS = { hour: 10_000, day: 60_000, week: 60_000 } as const;

interface NumberPlotsProps extends ViewProps {
  readonly of: "share" | "server";
  readonly name: string;
  /** The kind of a share's preferred link. */
  readonly link?: unknown;
}

export function NumberPlots({ app, of, name, link }: NumberPlotsProps): ComponentChild {
  const [span, setSpan] = useState<Span>("hour");
  const now = useNow(AGAIN_MS.hour);
  const { report, problem } = useLoaded(
    (signal) => app.requests.call("series", { of, name, span }, { signal }),
    `${of} ${name} ${span}`,
    AGAIN_MS[span],
  );
  const plotted = useMemo(() => (report === null ? null : plottedOf(report, of, link)), [report, of, link]);
  return h(
    "div",
    { class: "numbers" },
    h(
      "div",
      { class: "row choices", role: "group", "aria-label": "Time shown" },
      SPANS.map((each) =>
        h(
          "button",
          { key: each, type: "button", "aria-pressed": each === span, onClick: () => setSpan(each) },
          `Last ${each}`,
        ),
      ),
    ),
    plotted === null
      ? loading(problem)
      : h(PlotGroup, { label: `Last ${span} of ${shown(name)}`, plotted, now }),
  );
}
