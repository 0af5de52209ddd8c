// Shapes of JSON values: each is a check and a type. A schema library would take 15 MB in each process.
import { isObject } from "./text/json-object.ts";

/** A mismatch: its path from the value's root, and the expected shape there. */
interface Fault {
  readonly path: string;
  readonly expected: string;
}

export interface Shape<T> {
  /** Description for people: "true or false". */
  readonly expected: string;
  /** The first fault; null: the value is a `T`. */
  readonly faultIn: (value: unknown) => Fault | null;
  /** Never set; carries the type. */
  readonly sample?: T;
}

export type TypeOf<S extends Shape<unknown>> = S extends Shape<infer T> ? T : never;

interface Optional<T> extends Shape<T> {
  readonly optional: true;
}

export type Fields = Readonly<Record<string, Shape<unknown>>>;

type OptionalName<F extends Fields> = {
  [Name in keyof F]: F[Name] extends Optional<unknown> ? Name : never;
}[keyof F];

type TypeOfFields<F extends Fields> = {
  [Name in Exclude<keyof F, OptionalName<F>>]: TypeOf<F[Name]>;
} & { [Name in OptionalName<F>]?: TypeOf<F[Name]> } extends infer Whole
  ? { [Name in keyof Whole]: Whole[Name] }
  : never;

interface ObjectShape<F extends Fields> extends Shape<TypeOfFields<F>> {
  readonly fields: F;
}

function leaf<T>(expected: string, isValid: (value: unknown) => boolean): Shape<T> {
  return {
    expected,
    faultIn: (value) => (isValid(value) ? null : { path: "", expected }),
  };
}

export const text = leaf<string>("a text", (value) => typeof value === "string");
export const number = leaf<number>("a number", Number.isFinite);
export const count = leaf<number>(
  "a whole number from 0",
  (value) => Number.isInteger(value) && Number(value) >= 0,
);
export const flag = leaf<boolean>("true or false", (value) => typeof value === "boolean");
export const anything = leaf<unknown>("anything", () => true);
export const jsonObject = leaf<Record<string, unknown>>("a JSON object", isObject);

export function matching(form: RegExp, expected: string): Shape<string> {
  return leaf(expected, (value) => typeof value === "string" && form.test(value));
}

export function textThat(expected: string, isValid: (text: string) => boolean): Shape<string> {
  return leaf(expected, (value) => typeof value === "string" && isValid(value));
}

/** A text without lone surrogates, which an encoding to UTF-8 would replace. */
export const wellFormedText = textThat("a text", (value) => value.isWellFormed());

export function numberThat(expected: string, isValid: (value: number) => boolean): Shape<number> {
  return leaf(expected, (value) => typeof value === "number" && isValid(value));
}

/**
 * Returns a function that checks a value. That function returns the value without unknown members, or null if the
 * value has another shape.
 */
export function reader<T>(shape: Shape<T> & { readonly fields?: Fields }): (value: unknown) => T | null {
  const { fields } = shape;
  return (value) => {
    if (shape.faultIn(value) !== null) return null;
    const named = ([name]: readonly [string, unknown]): boolean => Object.hasOwn(fields ?? {}, name);
    // `faultIn` has checked the shape.
    return (
      fields === undefined ? value : Object.fromEntries(Object.entries(Object(value)).filter(named))
    ) as T;
  };
}

export function choice<const Choice extends string>(...choices: readonly Choice[]): Shape<Choice> {
  const expected = [choices.slice(0, -1).join(", "), ...choices.slice(-1)].filter(Boolean).join(" or ");
  return leaf(expected, (value) => choices.some((one) => one === value));
}

export function nullable<T>(shape: Shape<T>): Shape<T | null> {
  return {
    expected: `${shape.expected}, or null`,
    faultIn: (value) => (value === null ? null : shape.faultIn(value)),
  };
}

export function optional<T>(shape: Shape<T>): Optional<T> {
  return { ...shape, optional: true };
}

export function list<T>(item: Shape<T>, most = Number.POSITIVE_INFINITY): Shape<T[]> {
  const expected = "a list";
  return {
    expected,
    faultIn(value) {
      if (!Array.isArray(value) || value.length > most) return { path: "", expected };
      return firstFault(value.entries(), item);
    },
  };
}

/** An object with members of any name and of one shape. */
export function record<T>(member: Shape<T>): Shape<Record<string, T>> {
  const expected = "an object";
  return {
    expected,
    faultIn: (value) =>
      isObject(value) ? firstFault(Object.entries(value), member) : { path: "", expected },
  };
}

/** Allows members besides `fields`, so that a newer daemon may add some. */
export function object<F extends Fields>(fields: F): ObjectShape<F> {
  const expected = "an object";
  return {
    fields,
    expected,
    faultIn(value) {
      if (!isObject(value)) return { path: "", expected };
      for (const [name, shape] of Object.entries(fields)) {
        if (!Object.hasOwn(value, name)) {
          if (!("optional" in shape)) return { path: name, expected: shape.expected };
        } else {
          const fault = shape.faultIn(value[name]);
          if (fault !== null) return inside(name, fault);
        }
      }
      return null;
    },
  };
}

/** Allows no members besides `fields`: an unknown option of a request must not be ignored. */
export function strictObject<F extends Fields>(fields: F): ObjectShape<F> {
  const open = object(fields);
  return {
    ...open,
    faultIn(value) {
      const more = isObject(value)
        ? Object.keys(value).find((name) => !Object.hasOwn(fields, name))
        : undefined;
      return more === undefined ? open.faultIn(value) : { path: more, expected: "nothing of that name" };
    },
  };
}

export function union<const Shapes extends readonly Shape<unknown>[]>(
  ...shapes: Shapes
): Shape<TypeOf<Shapes[number]>> {
  return {
    expected: shapes.map(({ expected }) => expected).join(" or "),
    faultIn(value) {
      let deepest: Fault | null = null;
      for (const shape of shapes) {
        const fault = shape.faultIn(value);
        if (fault === null) return null;
        // The shape whose fault is deepest is probably the intended one.
        if (deepest === null || depth(fault) > depth(deepest)) deepest = fault;
      }
      return deepest;
    },
  };
}

export function both<A, B>(one: Shape<A>, other: Shape<B>): Shape<A & B> {
  return {
    expected: one.expected,
    faultIn: (value) => one.faultIn(value) ?? other.faultIn(value),
  };
}

/** Returns `shape` with a description that replaces all descriptions inside it. */
export function described<T>(expected: string, shape: Shape<T>): Shape<T> {
  return {
    expected,
    faultIn: (value) => (shape.faultIn(value) === null ? null : { path: "", expected }),
  };
}

function firstFault(
  entries: Iterable<readonly [string | number, unknown]>,
  shape: Shape<unknown>,
): Fault | null {
  for (const [name, member] of entries) {
    const fault = shape.faultIn(member);
    if (fault !== null) return inside(name, fault);
  }
  return null;
}

function depth({ path }: Fault): number {
  return path.split(".").length;
}

function inside(name: string | number, { path, expected }: Fault): Fault {
  return { path: path === "" ? String(name) : `${name}.${path}`, expected };
}
