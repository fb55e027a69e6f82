/** What charts are made of, whoever draws them. */

/** One of a chart's axes. */
export interface Axis {
  readonly label: string;
  /** Default `"linear"`, from 0. */
  readonly scale?: "linear" | "log";
  /** How a value is written along it. Default: as JavaScript prints it. */
  readonly format?: (value: number) => string;
}

/** A measured value, and how far its repetitions spread. */
export interface Measured {
  readonly value: number;
  readonly low?: number;
  readonly high?: number;
}

/** What every chart has. */
export interface ChartText {
  readonly title: string;
  readonly subtitle?: string;
  /** A line below the chart: what it was taken on. */
  readonly footer?: string;
}

/** Lines over a range of numbers. */
export interface LineChart extends ChartText {
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly {
    readonly name: string;
    /** What its colour goes by; default `name`. An engine has the same in every chart. */
    readonly key?: string;
    /** Drawn broken and on top, so that a line below it that runs alike is seen. */
    readonly dashed?: boolean;
    readonly points: readonly ({ readonly x: number; readonly y: number } & Omit<
      Measured,
      "value"
    >)[];
  }[];
}

/** Bars that lie, in groups. */
export interface BarChart extends ChartText {
  /** The axis along which bars grow. */
  readonly x: Axis;
  readonly groups: readonly string[];
  readonly series: readonly {
    readonly name: string;
    readonly key?: string;
    /** One for each group; undefined where nothing was measured. */
    readonly values: readonly (Measured | undefined)[];
  }[];
  /** A value to compare with, drawn as a line: 1, in a chart of ratios. */
  readonly reference?: number;
}

/** How wide a chart is. */
export type Shape = "wide" | "narrow";

/** What draws charts. */
export interface Charts {
  /**
   * @param shape - `"narrow"` is for a telephone, on a page that has the title and the rest around it.
   * @returns An SVG document, readable in light and dark; the same text for the same chart.
   */
  lineChart(chart: LineChart, shape?: Shape): string;
  /** @returns An SVG document, readable in light and dark; the same text for the same chart. */
  barChart(chart: BarChart): string;
}
