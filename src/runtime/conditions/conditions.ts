// Lasting problems as data: each folder declares one row for each problem that it can have. A row's name is its code.
import { type Clock, isoTime } from "../time/clock.ts";

export interface ConditionText<Name extends string> {
  /** `NAME:ABOUT` if several problems of one kind can last at once. */
  readonly code: Name | `${Name}:${string}`;
  readonly severity: "info" | "warning" | "error";
  readonly title: string;
  readonly hint: string | null;
}

/** Without its own `since`, it has lasted since it was first found. */
export type FoundCondition<Name extends string> = ConditionText<Name> & {
  readonly since?: string | undefined;
};

/** `since` is ISO 8601. */
export type LastingCondition<Name extends string> = ConditionText<Name> & { readonly since: string };

/** The title, the hint, and what it is about if several can last at once. */
type Row = (...facts: never[]) => readonly [title: string, hint: string | null, about?: string];

type Makers<Rows extends Readonly<Record<string, Row>>> = {
  readonly [Name in keyof Rows & string]: (...facts: Parameters<Rows[Name]>) => ConditionText<Name>;
};

/** For each row, a function that makes the condition from the facts. */
export function conditionRows<Rows extends Readonly<Record<string, Row>>>(
  severity: ConditionText<string>["severity"],
  rows: Rows,
): Makers<Rows> {
  const makers = Object.entries(rows).map(([name, row]) => {
    const make = (...facts: never[]): ConditionText<string> => {
      const [title, hint, about] = row(...facts);
      return { code: about === undefined ? name : `${name}:${about}`, severity, title, hint };
    };
    return [name, make];
  });
  // `fromEntries` does not keep which name has which row.
  return Object.fromEntries(makers) as Makers<Rows>;
}

/**
 * Adds the time since when each condition has lasted: its own, or the one in `known` under its key, or now. `known` is
 * for the next time.
 */
export function lasting<Found extends FoundCondition<string>>(
  found: readonly Found[],
  known: ReadonlyMap<string, string>,
  wallMs: number,
  keyOf: (one: Found) => string = ({ code }) => code,
) {
  const now = isoTime(wallMs);
  const conditions = found.map((one) => ({ ...one, since: one.since ?? known.get(keyOf(one)) ?? now }));
  return { conditions, known: new Map(conditions.map((one) => [keyOf(one), one.since])) };
}

/** The returned function remembers since when each condition lasts. `keyOf`: as in `lasting`. */
export function createSinceTracker(
  clock: Pick<Clock, "wallMs">,
  keyOf?: (one: FoundCondition<string>) => string,
) {
  let known: ReadonlyMap<string, string> = new Map();
  return <Name extends string>(found: readonly FoundCondition<Name>[]): LastingCondition<Name>[] => {
    const next = lasting(found, known, clock.wallMs(), keyOf);
    known = next.known;
    return next.conditions;
  };
}
