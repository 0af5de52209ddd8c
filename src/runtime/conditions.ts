// Lasting problems as data: each folder declares one row for each problem that it can have. A row's name is its code.

export interface ConditionText<Name extends string> {
  /** `NAME:ABOUT` if several problems of one kind can last at once. */
  readonly code: Name | `${Name}:${string}`;
  readonly severity: "info" | "warning" | "error";
  readonly title: string;
  readonly hint: string | null;
}

/** The title, the hint, and what it is about if several can last at once. */
type Row = (...facts: never[]) => readonly [title: string, hint: string | null, about?: string];

type Makers<Rows> = {
  readonly [Name in keyof Rows & string]: Rows[Name] extends (...facts: infer Facts) => unknown
    ? (...facts: Facts) => ConditionText<Name>
    : never;
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
