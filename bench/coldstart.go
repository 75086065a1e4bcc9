package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
)

// started is what a program costs until its first answer.
type started struct {
	CPU     float64 // nanoseconds
	Memory  float64 // bytes
	Program float64 // bytes
	Zip     float64 // bytes
}

// coldStarts measures the Lambdas from process start to first answer, beside amazon-cognito-passwordless-auth's on Node.
func coldStarts(root string) ([]row, error) {
	command := exec.Command("go", "run", "./internal/lambdahost/coldstart")
	command.Dir = root
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("measuring the Lambdas: %w", err)
	}
	return coldStartRows(out)
}

// coldStartRows reads what the measuring program prints.
func coldStartRows(out []byte) ([]row, error) {
	var list []struct {
		Trigger    string
		Ours, Node started
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("reading the measurements of the Lambdas: %w", err)
	}
	const million = 1e6
	var rows []row
	for _, m := range list {
		if m.Ours.CPU <= 0 || m.Node.CPU <= 0 || m.Node.Memory <= 0 || m.Ours.Zip <= 0 {
			return nil, fmt.Errorf("the Lambda %s has no measurements", m.Trigger)
		}
		rows = append(rows,
			compared(row{Name: "Lambda " + m.Trigger + ": CPU to the first answer, against Node", Value: m.Ours.CPU / million, Unit: "ms", Target: "ratio ≤ 0.067"}, m.Node.CPU/million),
			compared(row{Name: "Lambda " + m.Trigger + ": memory, against Node", Value: m.Ours.Memory / million, Unit: "MB", Target: "≤ 25"}, m.Node.Memory/million),
			row{Name: "Lambda " + m.Trigger + ": binary", Value: m.Ours.Program / million, Unit: "MB"},
			row{Name: "Lambda " + m.Trigger + ": zip", Value: m.Ours.Zip / million, Unit: "MB"})
	}
	return rows, nil
}
