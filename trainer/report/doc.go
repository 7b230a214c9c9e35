// Package report shows a run of the trainer to people: a page with curves and sample
// retrievals, and the card of its model. All that is not drawn here is escaped.
package report
