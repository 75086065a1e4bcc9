package telemetry

import "time"

// metadata tells CloudWatch which members of the line are metrics and dimensions.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
type metadata struct {
	Timestamp int64       `json:"Timestamp"` // ms since 1970
	Metrics   []directive `json:"CloudWatchMetrics"`
}

type directive struct {
	Namespace  string     `json:"Namespace"`
	Dimensions [][]string `json:"Dimensions"`
	Metrics    []metric   `json:"Metrics"`
}

type metric struct {
	Name string `json:"Name"`
	Unit string `json:"Unit"`
}

// metadata names one metric for each trigger, and one for each outcome of each method: never one for each user or client.
func (l *Log) metadata(at time.Time, byMethod bool) metadata {
	detailed := []string{FieldTrigger, FieldOutcome}
	if byMethod {
		detailed = []string{FieldTrigger, FieldMethod, FieldOutcome}
	}
	return metadata{Timestamp: at.UnixMilli(), Metrics: []directive{{
		Namespace:  l.space,
		Dimensions: [][]string{{FieldTrigger}, detailed},
		Metrics:    []metric{{FieldDuration, "Milliseconds"}, {FieldCount, "Count"}},
	}}}
}
